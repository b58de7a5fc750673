/** What a small piece costs: calls to the disk, counted on a file system that counts, and no more than needed. */
import { describe, expect, it } from '@jest/globals';
import { type Clock, joinBytes } from '@holdfast/shared';
import { systemClock } from '@holdfast/shared/node';
import { reserveBytes } from '../../src/store/space.js';
import { bytesOf, until } from '../support/fixtures.js';
import { ForgetfulFileSystem } from '../support/forgetful-file-system.js';
import { openStore, runsOf, specOf, store } from '../support/store-fixture.js';

const data = bytesOf(4096);
const fileBytes = 4096 + 4096 + 4 + 48;

/** What `work` calls, beside nothing. */
async function callsOf(files: ForgetfulFileSystem, work: () => Promise<unknown>) {
  const before = { ...files.calls };
  await work();
  return Object.fromEntries(
    Object.entries(files.calls)
      .map(([operation, count]) => [operation, count - (before[operation as keyof typeof before] ?? 0)])
      .filter(([, count]) => count !== 0),
  ) as Record<string, number>;
}

describe('a small piece', () => {
  it('is looked for, created, written once, synced and renamed, and its directory synced', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    await store(chunks, specOf(data, { chunkId: `ab${'0'.repeat(30)}` }), data);
    const second = specOf(data, { chunkId: `ab${'1'.repeat(30)}` });
    expect(await callsOf(files, () => store(chunks, second, data))).toEqual({
      stat: 1,
      open: 1,
      write: 1,
      syncData: 1,
      rename: 1,
      syncDirectory: 1,
    });
    expect(files.openFiles).toBe(0);
  });

  it('is trashed with others at one sync of the trash, and one of each directory', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const ids = ['ab', 'ac', 'ad', 'ad'].map((shard, n) => `${shard}${String(n).repeat(30)}`);
    for (const chunkId of ids) await store(chunks, specOf(data, { chunkId }), data);
    expect(await callsOf(files, () => chunks.trash(ids))).toMatchObject({ rename: 4, syncDirectory: 4 });
    expect((await chunks.capacity()).trashBytes).toBe(4 * fileBytes);
  });

  it('is followed in memory, before it is on the disk and after', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const writer = await chunks.begin(specOf(data));
    const follower = writer.follow();
    const calls = await callsOf(files, async () => {
      for (const run of runsOf(data)) await writer.append(run);
      expect(joinBytes((await follower.read(0, data.length)).data).equals(data)).toBe(true);
    });
    expect(calls).toEqual({});
    writer.seal();
    await writer.commit();
    expect(joinBytes((await follower.read(0, data.length)).data).equals(data)).toBe(true);
    await follower.close();
  });

  it('shares the sync of its directory with all that are renamed while another one runs', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const ends: (() => void)[] = [];
    files.syncDirectory = () => new Promise((resolve) => ends.push(resolve));
    const ids = Array.from({ length: 16 }, (_, n) => `ab${n.toString(16).repeat(30)}`);
    const renamesBefore = files.calls.rename ?? 0;
    const stored = ids.map((chunkId) => store(chunks, specOf(data, { chunkId }), data));
    let settled = false;
    const all = Promise.all(stored).finally(() => (settled = true));
    all.catch(() => undefined);
    // While the first sync runs, all others come; whoever is late by a turn of the event loop shares a later one.
    await until(() => files.calls.rename === renamesBefore + ids.length && ends.length > 0);
    let syncs = 0;
    await until(() => {
      for (const end of ends.splice(0)) {
        syncs += 1;
        end();
      }
      return settled;
    });
    await all;
    expect(syncs).toBeLessThan(ids.length / 2);
  });

  it('holds each directory open once, and none after the end', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const shards = ['00', '01', '00', '01', '00'];
    const calls = await callsOf(files, () =>
      Promise.all(
        shards.map((shard, n) => store(chunks, specOf(data, { chunkId: shard + `${n}`.repeat(30) }), data)),
      ),
    );
    expect(calls['openDirectory']).toBe(2);
    expect(files.openDirectories).toBe(2);
    chunks.close();
    await until(() => files.openDirectories === 0);
  });

  it('gets no receipt for want of open files, and the next one opens its directory', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const spec = specOf(data);
    files.failAt('openDirectory', 1, 'EMFILE');
    await expect(store(chunks, spec, data)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(chunks.failure).toBeUndefined();
    expect(await chunks.stat(spec)).toBeUndefined();
    await store(chunks, spec, data);
    expect(await chunks.stat(spec)).toBeDefined();
  });
});

describe('the room for a small piece', () => {
  const totalBytes = 2 ** 40;
  const room = (files: number) => ({
    totalBytes,
    freeBytes: reserveBytes(totalBytes) + files * fileBytes,
    freeFiles: Infinity,
  });

  it('is asked for once in a while, not for each', async () => {
    let nowMs = 0;
    const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data', { clock });
    const ten = async () => {
      for (let n = 0; n < 10; n += 1) await store(chunks, specOf(data), data);
    };
    expect((await callsOf(files, ten))['space']).toBe(1);
    nowMs += 2_000;
    expect((await callsOf(files, ten))['space']).toBe(1);
  });

  it('is less by what was stored since', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    files.room = room(1.5);
    await store(chunks, specOf(data), data);
    files.room = room(0.5);
    await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
  });

  it('is less by the files that were made since', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    files.room = { ...room(100), freeFiles: 1_001 };
    await store(chunks, specOf(data), data);
    await store(chunks, specOf(data), data);
    files.room = { ...room(100), freeFiles: 999 };
    await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
  });

  it('is looked at anew before a piece is refused', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    files.room = room(0.5);
    await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    files.room = room(1.5);
    await store(chunks, specOf(data), data);
  });
});
