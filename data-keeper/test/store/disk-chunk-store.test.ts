/** The chunk store on the machine's file system and on one in memory; room, trash, and damage on disk. */
import { afterAll, describe, expect, it } from '@jest/globals';
import type { Clock } from '@holdfast/shared';
import { nodeFileSystem, systemClock } from '@holdfast/shared/node';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChunkStore } from '../../src/store/chunk-store.js';
import { reserveBytes } from '../../src/store/space.js';
import { bytesOf } from '../support/fixtures.js';
import { ForgetfulFileSystem } from '../support/forgetful-file-system.js';
import { load, openStore, specOf, store } from '../support/store-fixture.js';
import { chunkStoreSuite } from './chunk-store-suite.js';

const directories: string[] = [];
const opened: ChunkStore[] = [];
afterAll(async () => {
  for (const chunks of opened) chunks.close();
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

chunkStoreSuite('on disk', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-store-'));
  directories.push(directory);
  const chunks = await openStore(nodeFileSystem, directory);
  opened.push(chunks);
  return chunks;
});

chunkStoreSuite('in memory', () => openStore(new ForgetfulFileSystem(), '/data'));

const data = bytesOf(10_000);
const fileBytes = 4096 + 10_000 + 3 * 4 + 48;

function fileOf(chunkId: string): string {
  return `/data/chunks/${chunkId.slice(0, 2)}/${chunkId}.0`;
}

describe('damage on disk', () => {
  it('is found wherever a bit flips, before anything wrong is given out', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const spec = specOf(data);
    await store(chunks, spec, data);
    const content = files.contentOf(fileOf(spec.chunkId));
    expect(content).toHaveLength(fileBytes);
    for (let position = 0; position < fileBytes; position += 37) {
      content[position] = (content[position] ?? 0) ^ (1 << (position % 8));
      await expect(load(chunks, spec)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
      content[position] = (content[position] ?? 0) ^ (1 << (position % 8));
    }
    expect((await load(chunks, spec)).equals(data)).toBe(true);
    expect(files.openFiles).toBe(0);
  });

  it.each([
    ['cut', (content: Buffer) => content.subarray(0, -1)],
    ['cut to its header', (content: Buffer) => content.subarray(0, 4096)],
    ['empty', () => Buffer.alloc(0)],
    ['longer', (content: Buffer) => Buffer.concat([content, Buffer.alloc(1)])],
  ])('is found in a file that is %s', async (_what, change) => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const spec = specOf(data);
    await store(chunks, spec, data);
    files.put(fileOf(spec.chunkId), Buffer.from(change(files.contentOf(fileOf(spec.chunkId)))));
    await expect(chunks.open(spec)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    expect(files.openFiles).toBe(0);
  });

  it('is found in files that changed places', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const [a, b] = [specOf(data), specOf(data)];
    await store(chunks, a, data);
    await store(chunks, b, data);
    files.put(fileOf(a.chunkId), files.contentOf(fileOf(b.chunkId)));
    await expect(chunks.open(a)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
  });
});

describe('room', () => {
  it('is 5 % of a large disk, a tenth of a small one, and 1 GiB between', () => {
    const GiB = 2 ** 30;
    expect(reserveBytes(1_000 * GiB)).toBe(50 * GiB);
    expect(reserveBytes(15 * GiB)).toBe(GiB);
    expect(reserveBytes(4 * GiB)).toBe(Math.floor(0.4 * GiB));
  });

  it('ends at the capacity, and what writes have reserved counts', async () => {
    const chunks = await openStore(new ForgetfulFileSystem(), '/data', { capacityBytes: 2 * fileBytes });
    const writer = await chunks.begin(specOf(data));
    await store(chunks, specOf(data), data);
    await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    await writer.abort();
    await store(chunks, specOf(data), data);
    expect(await chunks.capacity()).toEqual({
      totalBytes: 2 * fileBytes,
      usedBytes: 2 * fileBytes,
      freeBytes: 0,
      trashBytes: 0,
    });
  });

  it('ends at the reserve of the file system, and where inodes run out', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const totalBytes = 2 ** 40;
    files.room = { totalBytes, freeBytes: reserveBytes(totalBytes) + 1_000, freeFiles: Infinity };
    await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    files.room = { totalBytes, freeBytes: totalBytes, freeFiles: 10 };
    await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    expect(chunks.failure).toBeUndefined();
  });

  it('is counted anew when a store is opened', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    const spec = specOf(data);
    await store(chunks, spec, data);
    await store(chunks, specOf(data), data);
    await chunks.trash([spec.chunkId]);
    const { usedBytes } = await chunks.capacity();
    expect((await (await openStore(files, '/data')).capacity()).usedBytes).toBe(usedBytes);
  });

  it('is made from the trash, oldest first, and only as much as is needed', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data', { capacityBytes: 3 * fileBytes });
    const specs = [specOf(data), specOf(data), specOf(data)];
    for (const spec of specs) await store(chunks, spec, data);
    for (const { chunkId } of specs) await chunks.trash([chunkId]);
    // Told as free, or the tracker would send no piece that the trash could give way to.
    expect(await chunks.capacity()).toMatchObject({ freeBytes: 3 * fileBytes, trashBytes: 3 * fileBytes });
    await store(chunks, specOf(data), data);
    const trashed = files.paths().filter((path) => path.startsWith('/data/trash/'));
    expect(trashed).toEqual(
      specs
        .slice(1)
        .map(({ chunkId }) => `/data/trash/${chunkId}.0`)
        .sort(),
    );
  });
});

describe('the trash', () => {
  it('keeps pieces for their time and then lets go', async () => {
    let nowMs = 0;
    const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data', { clock, trashTtlMs: 1_000 });
    const spec = specOf(data);
    await store(chunks, spec, data);
    await chunks.trash([spec.chunkId]);
    nowMs = 999;
    await chunks.emptyTrash();
    expect(files.paths()).toContain(`/data/trash/${spec.chunkId}.0`);
    nowMs = 1_000;
    await chunks.emptyTrash();
    expect(files.paths()).not.toContain(`/data/trash/${spec.chunkId}.0`);
    expect((await chunks.capacity()).usedBytes).toBe(0);
  });
});
