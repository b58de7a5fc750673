/** Many files at once: few calls, each its own bytes or its own failure, and nothing left of what was given up. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoldfastError, blockChecksums, limits } from '@holdfast/shared';
import { systemClock } from '@holdfast/shared/node';
import { HoldfastClient } from '../src/client.js';
import { Handover } from '../src/core/handover.js';
import { chunkRuns } from '../src/download/chunk-runs.js';
import type { DownloadOutcome, FileToDownload } from '../src/download/download-many.js';
import type { LocatedExtent } from '../src/ports/tracker-api.js';
import { FakeCluster, hang } from './support/fake-cluster.js';
import { cli } from './support/run-cli.js';

const MiB = 1024 * 1024;
const block = limits.blockSizeBytes;

let folder: string;
let cluster: FakeCluster;
let client: HoldfastClient;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-many-'));
  cluster = new FakeCluster();
  cluster.paths.set('/d', 'directory');
  client = new HoldfastClient(cluster.context(undefined, systemClock), () => undefined);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Packed files /d/0 and on of these lengths, with where they are to go. */
function packed(...lengths: number[]) {
  const bytes = lengths.map((length) => randomBytes(length));
  const entries = cluster.putPacked(bytes.map((each, n) => [`/d/${n}`, each] as const));
  const files = entries.map((entry, n): FileToDownload => ({ entry, localPath: join(folder, String(n)) }));
  return { bytes, files };
}

async function outcomes(files: Iterable<FileToDownload> | AsyncIterable<FileToDownload>, options = {}) {
  const found: DownloadOutcome[] = [];
  for await (const outcome of client.downloadMany(files, options)) found.push(outcome);
  return found.sort((a, b) => (a.file.localPath < b.file.localPath ? -1 : 1));
}

const there = (name: number | string): Promise<Buffer> => readFile(join(folder, String(name)));
const reads = (): number => cluster.calls.filter((call) => call.startsWith('read ')).length;
const codes = (found: DownloadOutcome[]) =>
  found.map(({ error }) => (error as HoldfastError | undefined)?.code);

describe('many downloads', () => {
  it('of packed files cost one call and one read, and give exactly these bytes', async () => {
    const { bytes, files } = packed(0, 1, 5_000, block, 3 * block + 7, 0, 12);
    let seen = 0;
    const found = await outcomes(files, {
      onProgress: ({ transferredBytes }: { transferredBytes: number }) => (seen = transferredBytes),
    });
    for (const [n, each] of bytes.entries()) expect((await there(n)).equals(each)).toBe(true);
    expect(found.map(({ result }) => result?.sizeBytes)).toEqual(bytes.map(({ length }) => length));
    expect(seen).toBe(bytes.reduce((sum, { length }) => sum + length, 0));
    expect(cluster.called('locateFiles')).toBe(1);
    expect(cluster.called('locateChunks')).toBe(0);
    expect(reads()).toBe(1);
    expect(await readdir(folder)).toHaveLength(files.length);
  });

  it('ask a thousand at a time, and not at all for what is large', async () => {
    const { bytes, files } = packed(...Array.from({ length: limits.maxLocatedFiles + 10 }, (_, n) => n % 50));
    const big = randomBytes(2 * MiB + 1);
    const large = { entry: cluster.put('/big', big), localPath: join(folder, 'big') };
    const found = await outcomes([large, ...files]);
    expect(codes(found).filter((code) => code !== undefined)).toEqual([]);
    expect((await there('big')).equals(big)).toBe(true);
    for (const [n, each] of bytes.entries()) expect((await there(n)).equals(each)).toBe(true);
    expect(cluster.called('locateFiles')).toBe(2);
    expect(cluster.called('locateChunks')).toBe(1);
  });

  it('fail one by one, by what is at their places', async () => {
    const { bytes, files } = packed(10, 10, 10, 10);
    await writeFile(join(folder, '1'), 'mine');
    const away = { ...files[2]!, localPath: join(folder, 'none', '2') };
    await writeFile(join(folder, 'other'), 'old');
    await symlink('other', join(folder, '3'));
    const found = await outcomes([files[0]!, files[1]!, away, files[3]!]);
    expect(codes(found)).toEqual([undefined, 'ALREADY_EXISTS', 'ALREADY_EXISTS', 'NOT_FOUND']);
    expect((await there(1)).toString()).toBe('mine');
    // With leave to replace, a link stays and what it leads to is replaced.
    const again = await outcomes([files[1]!, files[3]!], { overwrite: true });
    expect(codes(again)).toEqual([undefined, undefined]);
    expect((await there('other')).equals(bytes[3]!)).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['0', '1', '3', 'other']);
  });

  it('refuse by itself what a program hands over by mistake', async () => {
    const { bytes, files } = packed(5, 6);
    const [good, other] = files as [FileToDownload, FileToDownload];
    const { entry, localPath } = other;
    const mistakes = [{}, { entry: null, localPath }, { entry }, { entry, localPath: 7 }];
    const found: DownloadOutcome[] = [];
    const asked = [good, ...mistakes, other] as FileToDownload[];
    for await (const outcome of client.downloadMany(asked)) found.push(outcome);
    const refused = found.filter(
      ({ error }) => (error as HoldfastError | undefined)?.code === 'INVALID_ARGUMENT',
    );
    expect(refused.map(({ file }) => file)).toEqual(mistakes);
    expect([await there(0), await there(1)]).toEqual(bytes);
    const none = { ...good, localPath: join(folder, 'none') };
    for (const nothing of [null, 7, '/d/0']) {
      const some = client.downloadMany([none, nothing] as FileToDownload[], { overwrite: true });
      expect((await some.next()).value).toMatchObject({ file: none, result: { path: '/d/0' } });
      await expect(some.next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    for (const nothing of [null, 7, {}]) {
      const call = () => client.downloadMany(nothing as unknown as FileToDownload[]);
      expect(call).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });

  it('lose with a block only the files that are in it', async () => {
    const { bytes, files } = packed(block, block, block, block);
    await cluster.tracker.locateFiles(files.map(({ entry }) => entry.version));
    for (const { chunks } of cluster.keepers) {
      for (const [chunkId, chunk] of chunks) {
        const bad = Buffer.from(chunk);
        bad[block + 5]! ^= 1;
        chunks.set(chunkId, bad);
      }
    }
    const found = await outcomes(files);
    expect(codes(found)).toEqual([undefined, 'DATA_LOSS', undefined, undefined]);
    for (const n of [0, 2, 3]) expect((await there(n)).equals(bytes[n]!)).toBe(true);
    expect(await readdir(folder)).toHaveLength(3);
  });

  it('go on with another keeper, and with what a path shows now if its version is gone', async () => {
    const { bytes, files } = packed(block, 3 * block, 10);
    cluster.keeper(1).faults.read = () => {
      throw new HoldfastError('UNAVAILABLE', 'connection refused');
    };
    const now = randomBytes(77);
    cluster.put('/d/2', now);
    cluster.versions.delete(files[2]!.entry.version);
    expect(codes(await outcomes(files))).toEqual([undefined, undefined, undefined]);
    expect((await there(1)).equals(bytes[1]!)).toBe(true);
    expect((await there(2)).equals(now)).toBe(true);
  });

  it('are right though a keeper gives other bytes, each block with its checksum', async () => {
    const { bytes, files } = packed(block, 3 * block, 10);
    cluster.keeper(1).faults.read = async function* (messages) {
      for await (const message of messages) {
        if (message.kind === 'header') yield message;
        else {
          const data = Buffer.alloc(message.run.data.length);
          yield { kind: 'blocks', run: { ...message.run, data, checksums: blockChecksums(data) } };
        }
      }
    };
    // Without the first one no digest of a chunk tells of the range.
    expect(codes(await outcomes(files.slice(1)))).toEqual([undefined, undefined]);
    for (const n of [1, 2]) expect((await there(n)).equals(bytes[n]!)).toBe(true);
  });

  it('do without the call where a tracker has none', async () => {
    const { bytes, files } = packed(10, 20);
    cluster.before = (name) => {
      if (name === 'locateFiles') throw new HoldfastError('UNIMPLEMENTED', 'unknown method');
    };
    expect(codes(await outcomes(files))).toEqual([undefined, undefined]);
    expect((await there(1)).equals(bytes[1]!)).toBe(true);
  });

  it('believe no answer that makes no sense', async () => {
    const { files } = packed(10, 20);
    cluster.locate = (extents) => extents.map((extent) => ({ ...extent, lengthBytes: 5 }));
    expect(codes(await outcomes(files))).toEqual(['INTERNAL', 'INTERNAL']);
    expect(await readdir(folder)).toEqual([]);
  });

  it('leave nothing behind when they are aborted, or nobody takes them any more', async () => {
    const { files } = packed(...Array<number>(200).fill(1_000));
    const abort = new AbortController();
    const late = { entry: cluster.put('/late', randomBytes(MiB)), localPath: join(folder, 'late') };
    cluster.keeper(1).faults.read = async function* (messages, request, signal) {
      for await (const message of messages) {
        if (request.lengthBytes === MiB) await hang(request, signal);
        yield message;
      }
    };
    let taken = 0;
    const taking = (async () => {
      for await (const { result } of client.downloadMany([...files, late], { signal: abort.signal })) {
        if (result) taken += 1;
        if (taken === 50) abort.abort();
      }
    })();
    await expect(taking).rejects.toMatchObject({ code: 'CANCELLED' });
    const names = await readdir(folder);
    expect(names.filter((name) => name.endsWith('.part'))).toEqual([]);
    for await (const { result } of client.downloadMany([...files, late], { overwrite: true })) {
      if (result) break;
    }
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('do not wait for more files than there are for now', async () => {
    const { files } = packed(10, 10);
    let firstIsThere = (): void => undefined;
    const first = new Promise<void>((resolve) => (firstIsThere = resolve));
    async function* source(): AsyncGenerator<FileToDownload> {
      yield files[0]!;
      await first;
      yield files[1]!;
      throw new HoldfastError('NOT_FOUND', 'the listing ended');
    }
    let count = 0;
    const taking = (async () => {
      for await (const { result } of client.downloadMany(source())) {
        if (result) count += 1;
        firstIsThere();
      }
    })();
    await expect(taking).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(count).toBe(2);
  });

  it('of the command line say the same of each file as one does', async () => {
    packed(10, 2_000);
    const { status, documents } = await cli(cluster, ['download', '-r', '/d', folder, '--json']);
    expect(status).toBe(0);
    expect(
      documents.slice(0, -1).sort((a, b) => Number(a['sizeBytes']) - Number(b['sizeBytes'])),
    ).toMatchObject([
      { event: 'downloaded', path: '/d/0', local: join(folder, 'd', '0'), sizeBytes: 10, version: 1 },
      { event: 'downloaded', path: '/d/1', local: join(folder, 'd', '1'), sizeBytes: 2_000, version: 2 },
    ]);
    expect(documents.at(-1)).toMatchObject({ event: 'summary', files: 2, sizeBytes: 2_010, failed: 0 });
  });
});

describe('runs of a chunk', () => {
  const at = (chunkId: string, chunkOffset: number, lengthBytes: number) => ({
    file: `${chunkId}${chunkOffset}`,
    version: 1,
    extent: { chunkId, chunkOffset, lengthBytes } as LocatedExtent,
  });
  const ranges = (...placed: ReturnType<typeof at>[]) =>
    chunkRuns(placed).map(({ range: { start, end }, files }) => [start, end, files.map(({ file }) => file)]);

  it('join what is near, keep apart what is far or too much, and read what is shared once', () => {
    expect(ranges(at('a', 100, 50), at('b', 0, 10), at('a', 0, 100), at('a', 20, 30))).toEqual([
      [0, 150, ['a0', 'a20', 'a100']],
      [0, 10, ['b0']],
    ]);
    expect(ranges(at('a', 0, 10), at('a', MiB, 10))).toHaveLength(2);
    const runs = ranges(...Array.from({ length: 6 }, (_, n) => at('a', n * MiB, MiB)));
    expect(runs.map(([start, end]) => [start, end])).toEqual([
      [0, 4 * MiB],
      [4 * MiB, 6 * MiB],
    ]);
  });
});

describe('a handover', () => {
  it('gives all in order, then why it ended, and holds up makers while too many wait', async () => {
    const handover = new Handover<number>(1);
    handover.give(1);
    await handover.hasRoom();
    handover.give(2);
    let room = false;
    const waiting = handover.hasRoom().then(() => (room = true));
    await Promise.resolve();
    expect(room).toBe(false);
    handover.fail(new Error('over'));
    const taken: number[] = [];
    await expect(
      (async () => {
        for await (const item of handover.taken()) taken.push(item);
      })(),
    ).rejects.toThrow('over');
    expect(taken).toEqual([1, 2]);
    await waiting;
  });
});
