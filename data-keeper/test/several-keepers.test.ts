/** Several disks to a process: each its own keeper, each failing for itself, none mistaken for an empty one. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DataKeepers, type DataKeepersOptions, startDataKeepers } from '../src/index.js';
import { FakeTracker } from './support/fake-tracker.js';
import { patientSettings, until } from './support/fixtures.js';

let tracker: FakeTracker;
let folder: string;
let running: DataKeepers | undefined;

beforeEach(async () => {
  tracker = await new FakeTracker().start();
  folder = await mkdtemp(join(tmpdir(), 'holdfast-disks-'));
});

afterEach(async () => {
  await running?.kill();
  running = undefined;
  tracker.stop();
  await rm(folder, { recursive: true, force: true });
});

const disk = (name: string): string => join(folder, name);

async function start(
  names: readonly string[],
  options: Partial<DataKeepersOptions> = {},
): Promise<DataKeepers> {
  running = await startDataKeepers({
    dataDirs: names.map(disk),
    listen: '127.0.0.1:0',
    tracker: tracker.address,
    settings: patientSettings,
    ...options,
  });
  return running;
}

async function stop(): Promise<void> {
  await running?.stop();
  running = undefined;
}

const idsOf = ({ keepers }: DataKeepers): string[] => keepers.map((keeper) => keeper.keeperId);

/** The first of some ports in a row that nobody has. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const servers = [createServer().listen(0, '127.0.0.1')];
    await new Promise((done) => servers[0]?.once('listening', done));
    const first = (servers[0]?.address() as { port: number }).port;
    let isFree = true;
    for (let n = 1; n < count; n += 1) {
      const next = createServer();
      servers.push(next);
      isFree &&= await new Promise<boolean>((done) => {
        next.once('error', () => done(false));
        next.listen(first + n, '127.0.0.1', () => done(true));
      });
    }
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
    if (isFree) return first;
  }
}

describe('several disks', () => {
  it('are keepers of their own, on ports in a row, in one zone; the same ones after a restart', async () => {
    const port = await freePorts(3);
    const listen = `127.0.0.1:${port}`;
    const first = await start(['a', 'b', 'c'], { listen });
    expect(first.keepers.map((keeper) => keeper.address)).toEqual(
      [0, 1, 2].map((n) => `127.0.0.1:${port + n}`),
    );
    const ids = idsOf(first);
    expect(new Set(ids).size).toBe(3);
    await until(() => new Set(tracker.heartbeats.map((beat) => beat.keeperId)).size === 3);
    await stop();
    expect(idsOf(await start(['a', 'b', 'c'], { listen }))).toEqual(ids);
    const zones = new Set(tracker.registrations.map((registration) => registration.zone));
    expect([...zones]).toEqual([`machine-${ids[0]?.slice(0, 8)}`]);
  });

  it('are in the zone that is said, and one alone in none', async () => {
    await start(['a', 'b'], { zone: 'rack-7' });
    await stop();
    await start(['a']);
    expect(tracker.registrations.map((registration) => registration.zone)).toEqual(['rack-7', 'rack-7', '']);
  });

  it('one of which cannot be used start without it, also if it is the first', async () => {
    const ids = idsOf(await start(['a', 'b', 'c']));
    await stop();
    await writeFile(join(disk('a'), 'IDENTITY'), 'nonsense');
    const { keepers, notStarted } = await start(['a', 'b', 'c']);
    expect(keepers.map((keeper) => keeper.keeperId)).toEqual(ids.slice(1));
    expect(notStarted).toMatchObject([{ dataDir: disk('a'), error: { code: 'DATA_DIR_INVALID' } }]);
    const [left, right] = keepers;
    expect(left?.zone).toBe(right?.zone);
  });

  it('of which none can be used do not start', async () => {
    for (const name of ['a', 'b']) {
      await mkdir(disk(name));
      await writeFile(join(disk(name), 'something'), 'else');
    }
    await expect(start(['a', 'b'])).rejects.toMatchObject({ code: 'DATA_DIR_INVALID' });
    expect(await readdir(disk('a'))).toEqual(['something']);
  });

  it('one of which is empty all at once is not mounted: it stays empty, unless it is said to be new', async () => {
    await start(['a', 'b']);
    await stop();
    await rename(disk('b'), disk('elsewhere'));
    await mkdir(disk('b'));
    const { keepers, notStarted } = await start(['a', 'b', 'missing']);
    expect(keepers).toHaveLength(1);
    expect(notStarted.map(({ error }) => error)).toMatchObject([
      { code: 'DATA_DIR_INVALID', remedy: expect.stringMatching(/--add-empty/) },
      { code: 'DATA_DIR_INVALID' },
    ]);
    expect(await readdir(disk('b'))).toEqual([]);
    expect(await readdir(folder)).not.toContain('missing');
    await stop();
    expect((await start(['a', 'b'], { addEmpty: true })).keepers).toHaveLength(2);
  });

  it('of which one vanishes while they run: it says so and falls silent, and the others go on', async () => {
    const { keepers } = await start(['a', 'b']);
    const [gone, other] = [keepers[1]!.keeperId, keepers[0]!.keeperId];
    await rename(disk('b'), disk('elsewhere'));
    const beatsOf = (keeperId: string) => tracker.heartbeats.filter((beat) => beat.keeperId === keeperId);
    await until(() => beatsOf(gone).at(-1)?.storageError?.message.includes('not there') ?? false);
    const before = { gone: beatsOf(gone).length, other: beatsOf(other).length };
    await until(() => beatsOf(other).length > before.other + 10);
    expect(beatsOf(gone)).toHaveLength(before.gone);
    expect(beatsOf(other).at(-1)?.storageError).toBeNull();
    await rename(disk('elsewhere'), disk('b'));
    await until(() => beatsOf(gone).length > before.gone + 2);
    expect(beatsOf(gone).at(-1)?.storageError).toBeNull();
  });

  it('do not start in part when it is not about one of them, and none is named twice', async () => {
    await expect(start(['a', 'b', 'a'])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await readdir(folder)).toEqual([]);
    const port = await freePorts(2);
    const taken = createServer().listen(port + 1, '127.0.0.1');
    await new Promise((done) => taken.once('listening', done));
    await expect(start(['a', 'b'], { listen: `127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
    });
    await new Promise((done) => taken.close(done));
    // Nothing of it is left: neither port nor lock.
    expect((await start(['a', 'b'], { listen: `127.0.0.1:${port}` })).keepers).toHaveLength(2);
  });
});
