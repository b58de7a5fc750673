/** `client sync` and `client diff`: trees there and back through a real cluster, and what may go wrong on the way. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { appendFileSync } from 'node:fs';
import { chmod, mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { permissionsMatter, run, start } from '../support/command.js';
import { runHere } from '../support/command-here.js';
import { fingerprint, seededBytes, temporaryFolder, writeSeededFile } from '../support/files.js';
import { waitFor } from '../support/wait.js';

let cluster: Cluster;
let client: HoldfastClient;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let round = 0;
/** A place of its own for each test, here and there. */
let here = '';
let there = '';
beforeAll(async () => {
  cluster = await startCluster({ keepers: 3 });
  client = await cluster.connect();
  folder = await temporaryFolder();
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});
beforeEach(async () => {
  round += 1;
  here = join(folder.path, `here-${round}`);
  there = `:/there-${round}`;
  await mkdir(here);
});

const at = (...names: string[]): string => join(here, ...names);
const holdfast = (...args: string[]): ReturnType<typeof runHere> =>
  runHere([...args, '--tracker', cluster.tracker.address]);

async function synced(
  ...args: string[]
): Promise<{ status: number | null; changes: string[]; summary: unknown }> {
  const { status, stdout, stderr } = await holdfast('sync', '--json', ...args);
  const documents = stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string; path: string });
  const last = documents.pop();
  if (last?.event !== 'summary') throw new Error(`no summary: ${stdout.toString()} ${stderr}`);
  return { status, changes: documents.map(({ event, path }) => `${event} ${path}`).sort(), summary: last };
}

async function remoteNames(): Promise<string[]> {
  const top = there.slice(1);
  const found: string[] = [];
  for await (const { path, type } of client.list(top, { depth: Infinity })) {
    found.push(path.slice(top.length + 1) + (type === 'directory' ? '/' : ''));
  }
  return found;
}

/** Names that break what is not careful: spaces, quotes, patterns, control characters, twins in Unicode, lengths. */
const names = [
  ...['sp ace', "it's", '"', 'a*b', '[x]', 'back\\slash', '-rf', '--', '.hidden', ':/colon', 'new\nline'],
  ...['😀', '\u00e9', 'e\u0301', 'f'.repeat(255), '\u001b[31m'],
].map((name) => name.replace('/', '_'));

/** In the middle of the millisecond: the call cuts to microseconds what is a fraction less in seconds. */
async function touch(path: string, unixMs: number): Promise<void> {
  await utimes(path, (unixMs + 0.5) / 1_000, (unixMs + 0.5) / 1_000);
}

async function makeTree(): Promise<void> {
  await mkdir(at('sub', 'a', 'b'), { recursive: true });
  await mkdir(at('empty'));
  await mkdir(at('a'));
  for (const [index, name] of names.entries()) {
    await writeFile(at('sub', name), seededBytes(index, index * 100));
    await mkdir(at('a', name));
    await writeFile(at('a', name, name), name);
  }
  await writeSeededFile(at('big'), 3 * 1024 * 1024 + 17, 7);
  await touch(at('big'), 1_734_886_692_056);
  await writeFile(at('a-b'), 'between "a" and "a/" if paths were texts');
}

describe('sync', () => {
  it('takes a tree there and back, and moves nothing when nothing differs', async () => {
    await makeTree();
    const up = await synced(here, there);
    expect(up).toMatchObject({ status: 0, summary: { files: 2 * names.length + 2, unchanged: 0 } });
    const again = {
      status: 0,
      changes: [],
      summary: { files: 0, sizeBytes: 0, unchanged: 2 * names.length + 2 },
    };
    expect(await synced(here, there)).toMatchObject(again);
    const back = join(folder.path, 'not', 'there', 'yet');
    expect(await synced(there, back)).toMatchObject({ status: 0, summary: { files: 2 * names.length + 2 } });
    expect(await fingerprint(back)).toEqual(await fingerprint(here));
    expect(await synced(there, back)).toMatchObject(again);
    expect(await synced(back, there, '--delete')).toMatchObject(again);
    expect(await holdfast('diff', back, there)).toMatchObject({ status: 0, stderr: '' });
  });

  it.each(['up', 'down'])(
    '%s: copies what differs, and with --delete leaves nothing else',
    async (way) => {
      await makeTree();
      const other = join(folder.path, `other-${round}`);
      await synced(here, there);
      await synced(there, other);
      // The same changes, made on whichever side is the source.
      await writeFile(at('a-b'), 'other bytes');
      await utimes(at('big'), 5, 5);
      await rm(at('empty'), { recursive: true });
      await writeFile(at('empty'), 'now a file');
      await rm(at('sub', '-rf'));
      await mkdir(at('sub', '-rf', 'deep'), { recursive: true });
      await rm(at('a'), { recursive: true });
      await writeFile(at('new\nfile'), '');
      await rm(at('sub', 'new\nline'));
      let [source, target] = [here, there];
      if (way === 'down') {
        await synced(here, there, '--delete');
        [source, target] = [there, other];
      }
      const expected = {
        copied: ['a-b', 'big', 'new\nfile'],
        made: ['sub/-rf', 'sub/-rf/deep'],
        deleted: ['a', 'sub/new\nline'],
      };
      const lines = (event: string, paths: string[]): string[] => paths.map((path) => `${event} ${path}`);
      const without = [...lines('copied', expected.copied), ...lines('made', expected.made)];
      const tried = await synced(source, target, '--dry-run');
      // A directory gives way to a file only with --delete.
      expect(tried.changes).toEqual([...without, 'undefined empty'].sort());
      const all = [...without, 'copied empty', ...lines('removed', expected.deleted)].sort();
      expect(await synced(source, target, '-n', '--delete')).toMatchObject({ status: 0, changes: all });
      expect((await synced(source, target)).changes).toEqual([...without, 'undefined empty'].sort());
      expect(await synced(source, target, '--delete')).toMatchObject({
        status: 0,
        changes: ['copied empty', ...lines('removed', expected.deleted)].sort(),
      });
      expect(await synced(source, target, '--delete')).toMatchObject({ status: 0, changes: [] });
      const result = way === 'up' ? join(folder.path, `result-${round}`) : other;
      if (way === 'up') await synced(there, result);
      expect(await fingerprint(result)).toEqual(await fingerprint(here));
    },
    600_000,
  );

  it('goes by contents with --checksum, whatever the times', async () => {
    for (const name of ['same', 'other']) await writeFile(at(name), `${name} bytes`);
    await synced(here, there);
    await writeFile(at('other'), 'OTHER bytes');
    for (const name of ['same', 'other']) await touch(at(name), 1_234_000);
    expect(await holdfast('diff', '-c', here, there)).toMatchObject({
      status: 1,
      stdout: Buffer.from('! other: other bytes\n'),
    });
    const back = join(folder.path, `back-${round}`);
    await synced(there, back);
    await touch(join(back, 'same'), 99_000);
    expect(await synced(here, there, '--checksum')).toMatchObject({ changes: ['copied other'] });
    expect(await synced(here, there, '--checksum')).toMatchObject({ changes: [], summary: { unchanged: 2 } });
    expect(await synced(there, back, '-c')).toMatchObject({ changes: ['copied other'] });
    expect(await synced(there, back, '-c')).toMatchObject({ changes: [], summary: { unchanged: 2 } });
    expect(await fingerprint(back)).toEqual(await fingerprint(here));
  });

  it('neither copies nor removes what is excluded', async () => {
    const write = async (path: string): Promise<void> => {
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, path);
    };
    for (const path of ['x.tmp', 'd/y.tmp', 'cache/1', 'd/cache/2', 'd/e/f', 'keep/3']) await write(at(path));
    const other = join(folder.path, `other-${round}`);
    for (const path of [
      'old.tmp',
      'd/old',
      'gone/sub/old.tmp',
      'gone/sub/old',
      'gone/all/old',
      'cache/old',
    ]) {
      await write(join(other, path));
    }
    await synced(other, there);
    const flags = ['--exclude', '*.tmp', '--exclude=/cache/', '--exclude', 'd/**/f', '--delete'];
    expect(await synced(here, there, ...flags)).toMatchObject({
      status: 0,
      changes: [
        ...['copied d/cache/2', 'copied keep/3', 'made d/cache', 'made d/e', 'made keep'],
        ...['removed d/old', 'removed gone/all', 'removed gone/sub/old'],
      ],
    });
    expect(await remoteNames()).toEqual([
      ...['cache/', 'cache/old', 'd/', 'd/cache/', 'd/cache/2', 'd/e/'],
      ...['gone/', 'gone/sub/', 'gone/sub/old.tmp', 'keep/', 'keep/3', 'old.tmp'],
    ]);
  });

  it('reports a file that changes meanwhile, and takes the others', async () => {
    await writeSeededFile(at('growing'), 300 * 1024 ** 2, 5);
    for (const name of ['a', 'z']) await writeFile(at(name), name);
    const sync = start('client', ['sync', here, there, '--tracker', cluster.tracker.address]);
    await waitFor('the file to be on its way', async () => {
      const { openUploads } = await client.status();
      return openUploads > 0 && (await remoteNames()).includes('z');
    });
    // At once: the threads of this process are busy with the upload.
    appendFileSync(at('growing'), 'more');
    const { status, stderr } = await sync.finished;
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/growing" changed/) });
    expect(await remoteNames()).toEqual(['a', 'z']);
  });

  it('lets small files share chunks', async () => {
    await mkdir(at('sub'));
    for (let index = 0; index < 60; index += 1)
      await writeFile(at('sub', `f${index}`), seededBytes(index, 1_000 + index));
    const { chunks: before } = await client.status();
    expect(await synced(here, there)).toMatchObject({ status: 0, summary: { files: 60 } });
    // A commit is counted a moment later.
    await waitFor('the chunks to be counted', async () => (await client.status()).chunks > before);
    expect((await client.status()).chunks - before).toBeLessThan(5);
  });

  it('twice at once to one target ends with whole files, both ways', async () => {
    for (let index = 0; index < 60; index += 1) await writeFile(at(`f${index}`), seededBytes(index, 70_000));
    const up = await Promise.all([synced(here, there, '--delete'), synced(here, there, '--delete')]);
    expect(up.map(({ status }) => status)).toEqual([0, 0]);
    const back = join(folder.path, `back-${round}`);
    const down = await Promise.all([synced(there, back, '--delete'), synced(there, back, '--delete')]);
    expect(down.map(({ status }) => status)).toEqual([0, 0]);
    expect(await fingerprint(back)).toEqual(await fingerprint(here));
  });

  (permissionsMatter() ? it : it.skip)(
    'removes nothing when a part of the source cannot be read',
    async () => {
      await mkdir(at('closed'));
      await writeFile(at('closed', 'f'), 'x');
      await writeFile(at('gone'), 'x');
      await synced(here, there);
      await rm(at('gone'));
      await chmod(at('closed'), 0o000);
      const args = ['sync', here, there, '--delete', '--tracker', cluster.tracker.address];
      const { status, stderr } = await run('client', args, { unprivileged: true });
      await chmod(at('closed'), 0o755);
      expect({ status, stderr }).toEqual({
        status: 6,
        stderr: expect.stringMatching(/nothing more is removed/),
      });
      expect(await remoteNames()).toEqual(['closed/', 'closed/f', 'gone']);
    },
    600_000,
  );

  it('follows links, and says which lead nowhere', async () => {
    await mkdir(at('dir'));
    await writeFile(at('dir', 'f'), 'x');
    await symlink('dir', at('link'));
    await symlink('nothing', at('broken'));
    const { status, stderr } = await holdfast('sync', here, there);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/broken.*nowhere/) });
    expect(await remoteNames()).toEqual(['dir/', 'dir/f', 'link/', 'link/f']);
  });

  it.each<[string[], number, RegExp]>([
    [['HERE', '/x'], 2, /none of the two is remote.*client sync photos :\/photos/s],
    [[':/a', ':/b'], 2, /both of the two are remote|both/],
    [[':/nothing', 'HERE'], 3, /source: there is no directory "\/nothing"/],
    [['HERE/nothing', ':/x'], 3, /source: there is no directory/],
    [['HERE', ':/x', '--exclude', '[z-a]'], 2, /--exclude: "z-a" is no range/],
    [['HERE', ':/a//b'], 2, /empty component/],
  ])('refuses %j', async (args, status, message) => {
    const words = args.map((word) => word.replace('HERE', here));
    const result = await holdfast('sync', ...words);
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status,
      stderr: expect.stringMatching(message),
    });
  });
});

describe('diff', () => {
  it('says what is only here, only there, and in what the others differ', async () => {
    await makeTree();
    await synced(here, there);
    await writeFile(at('a-b'), 'other');
    await utimes(at('a-b'), 5, 5);
    await touch(at('big'), 1_734_886_692_057);
    await rm(at('empty'), { recursive: true });
    await writeFile(at('empty'), '');
    await rm(at('sub', '-rf'));
    await mkdir(at('sub', 'only here'));
    await writeFile(at('sub', 'only here', 'f'), '');
    const { status, stdout, stderr } = await holdfast('diff', here, there);
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    const lines = stdout.toString().trimEnd().split('\n');
    expect(lines).toEqual([
      expect.stringMatching(/^! a-b: 5 bytes here, 40 there, of 1970-.* here, of 20.* there$/),
      '! big: 1 ms apart',
      '! empty: a file here, a directory there',
      '> sub/-rf',
      '< sub/only here/',
    ]);
    const json = await holdfast('diff', here, there, '--json', '--exclude', 'sub/');
    const documents = json.stdout.toString().trim().split('\n');
    expect(documents.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { path: 'a-b', status: 'differs', differences: ['size', 'time'], remote: { sizeBytes: 40 } },
      { path: 'big', status: 'differs', differences: ['time'] },
      { path: 'empty', status: 'differs', differences: ['type'] },
    ]);
    expect(await holdfast('diff', at('big'), `${there}/big`, '-q')).toMatchObject({ status: 1 });
    expect(await holdfast('diff', at('sub', '😀'), `${there}/sub/😀`)).toMatchObject({ status: 0 });
    expect(await holdfast('diff', here, '/nothing')).toMatchObject({ status: 3 });
  });
});
