/** Node's streams over the client, and how files are cut. */
import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { getEventListeners, once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ByteParts, limits } from '@holdfast/shared';
import { systemClock } from '@holdfast/shared/node';
import { HoldfastClient } from '../src/client.js';
import { bytesReadable } from '../src/local/streams.js';
import { chunkSizeFor } from '../src/upload/plan.js';
import { FakeCluster, hang, runningJob } from './support/fake-cluster.js';

const MiB = 1024 * 1024;

function connected() {
  const cluster = new FakeCluster();
  return { cluster, client: new HoldfastClient(cluster.context(undefined, systemClock), () => undefined) };
}

describe('a write stream', () => {
  it("has committed when it says 'finish'", async () => {
    const { cluster, client } = connected();
    const bytes = randomBytes(3 * MiB + 1);
    const stream = client.createWriteStream('/file', { chunkSizeBytes: MiB });
    await pipeline(Readable.from([bytes.subarray(0, 5), bytes.subarray(5)]), stream);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(await stream.committed).toMatchObject({ version: 1, sizeBytes: bytes.length });
  });

  it('that is destroyed leaves nothing visible', async () => {
    const { cluster, client } = connected();
    const stream = client.createWriteStream('/file');
    stream.write('half');
    stream.destroy();
    await once(stream, 'close');
    await expect(stream.committed).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(cluster.content('/file')).toBeUndefined();
    expect([...cluster.sessions.values()].filter(({ state }) => state !== 'aborted')).toEqual([]);
  });

  it('emits what the upload failed with', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', Buffer.from('old'));
    const writing = pipeline(Readable.from([Buffer.from('new')]), client.createWriteStream('/file'));
    await expect(writing).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(cluster.content('/file')?.toString()).toBe('old');
  });
});

describe('a stream as a source', () => {
  it('may fail before the first byte is asked for', async () => {
    const { cluster, client } = connected();
    const source = new Readable({ read: () => undefined });
    let listeners = 0;
    cluster.before = async (name) => {
      if (name !== 'beginUpload') return;
      // An 'error' that nobody listens for ends the process.
      listeners = source.listenerCount('error');
      if (listeners > 0) source.destroy(Object.assign(new Error('no such file'), { code: 'ENOENT' }));
    };
    const uploading = client.upload(source, '/file', { signal: AbortSignal.timeout(60_000) });
    await expect(uploading).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(listeners).toBe(1);
    expect(cluster.content('/file')).toBeUndefined();
  });

  it('is destroyed when the upload is refused before it was read', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', Buffer.from('old'));
    const source = new Readable({ read: () => undefined });
    await expect(client.upload(source, '/file')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(source.destroyed).toBe(true);
  });
});

describe('a read stream', () => {
  /** As they come from sockets: over one piece of memory. */
  function stream(): Readable {
    const memory = new ArrayBuffer(9);
    const parts = ['abc', 'def', 'ghi'].map((text, index) => {
      const part = Buffer.from(memory, index * 3, 3);
      part.write(text);
      return part;
    });
    return bytesReadable(async function* () {
      yield new ByteParts(parts);
    });
  }

  it('gives every part once, whoever asks for the next while the last is being handed over', async () => {
    const readable = stream();
    const got: Buffer[] = [];
    readable.on('data', (part: Buffer) => {
      got.push(part);
      readable.read(0);
    });
    await once(readable, 'end');
    expect(Buffer.concat(got).toString()).toBe('abcdefghi');
  });

  it('gives parts that cannot take the others along to another thread', async () => {
    const { port1 } = new MessageChannel();
    const got: string[] = [];
    const readable = stream();
    readable.on('data', (part: Buffer) => {
      got.push(part.toString());
      try {
        port1.postMessage(part, [part.buffer as ArrayBuffer]);
      } catch {
        // Refused by newer versions of Node; older ones send a copy.
      }
    });
    await once(readable, 'end');
    port1.close();
    expect(got).toEqual(['abc', 'def', 'ghi']);
  });

  it('gives a range, its end included', async () => {
    const { cluster, client } = connected();
    const bytes = randomBytes(2 * MiB);
    cluster.put('/file', bytes);
    const stream = client.createReadStream('/file', { start: 10, end: MiB + 10 });
    const parts = await stream.toArray();
    expect(Buffer.concat(parts as Buffer[]).equals(bytes.subarray(10, MiB + 11))).toBe(true);
  });

  it('ends with its signal, also while its reader takes nothing', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', randomBytes(9 * MiB));
    const abort = new AbortController();
    const stream = client.createReadStream('/file', { signal: abort.signal });
    await once(stream, 'readable');
    const failed = new Promise((resolve) => stream.once('error', resolve));
    abort.abort();
    expect(await failed).toMatchObject({ code: 'CANCELLED' });
  });

  it('of the entry of a directory says that it is one', async () => {
    const { cluster, client } = connected();
    cluster.paths.set('/dir', 'directory');
    const reading = client.createReadStream(await client.stat('/dir')).toArray();
    await expect(reading).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
  });

  it('that is destroyed stops a keeper that hangs', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', randomBytes(MiB));
    let stopped = 0;
    const reading = new Promise<void>((resolve) => {
      for (const keeper of cluster.keepers) {
        keeper.faults.read = async function* (messages, request, signal) {
          resolve();
          await hang(request, signal).catch(() => {
            stopped += 1;
          });
          yield* messages;
        };
      }
    });
    const stream = client.createReadStream('/file');
    stream.resume();
    await reading;
    stream.destroy();
    await once(stream, 'close');
    expect(stopped).toBe(1);
  });

  it('emits NOT_FOUND', async () => {
    const { client } = connected();
    await expect(client.createReadStream('/none').toArray()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('one signal', () => {
  it('may be shared by any number of calls', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', Buffer.from('x'));
    const { signal } = new AbortController();
    let most = 0;
    const count = (): void => {
      most = Math.max(most, getEventListeners(signal, 'abort').length);
    };
    cluster.before = count;
    // As a call over gRPC does.
    const { getEntry } = cluster.tracker;
    cluster.tracker.getEntry = async (path, options) => {
      options?.signal?.addEventListener('abort', count);
      return getEntry(path, options);
    };
    await Promise.all(Array.from({ length: 20 }, () => client.stat('/file', { signal })));
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => client.upload(Buffer.from('x'), `/f${n}`, { signal })),
    );
    expect(most).toBeLessThanOrEqual(10);
  });
});

describe('a listing', () => {
  it.each<[string, string[]]>([
    ['out of order', ['/b', '/a']],
    ['twice', ['/a', '/a']],
    ['from elsewhere', ['/a/b']],
    ['with the directory itself', ['/']],
  ])('of entries %s is refused', async (_what, paths) => {
    const { cluster, client } = connected();
    cluster.tracker.listEntries = async () => ({
      entries: paths.map((path) => ({
        path,
        type: 'file' as const,
        sizeBytes: 0,
        version: 1,
        createdAtUnixMs: 0,
        attributes: {},
      })),
      nextPageToken: '',
    });
    const listing = (async () => {
      for await (const entry of client.list('/')) expect(entry.path).toBe(paths[0]);
    })();
    await expect(listing).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining(JSON.stringify(paths.at(-1))),
    });
  });
});

it('a list whose next page is always another one, with nothing on it, is refused', async () => {
  const { cluster, client } = connected();
  let pages = 0;
  const nextPageToken = () => String((pages += 1));
  cluster.tracker.listEntries = async () => ({ entries: [], nextPageToken: nextPageToken() });
  cluster.tracker.listTrash = async () => ({ versions: [], nextPageToken: nextPageToken() });
  cluster.tracker.listJobs = async () => ({ jobs: [], nextPageToken: nextPageToken() });
  for (const list of [client.list('/'), client.listTrash('/'), client.listJobs()]) {
    await expect(list.next()).rejects.toMatchObject({ code: 'INTERNAL' });
  }
  expect(pages).toBeLessThan(100);
});

it('a list whose pages come again and again is refused', async () => {
  const { cluster, client } = connected();
  let pages = 0;
  const nextPageToken = () => String((pages += 1));
  const jobs = [runningJob, { ...runningJob, jobId: '8'.repeat(32) }];
  const versions = [1, 2].map((version) => ({
    ...{ path: '/a', version, sizeBytes: 0, trashedAtUnixMs: 0, expiresInMs: 0, replaced: false },
  }));
  cluster.tracker.listJobs = async () => ({ jobs, nextPageToken: nextPageToken() });
  cluster.tracker.listTrash = async () => ({ versions, nextPageToken: nextPageToken() });
  const walk = async (list: AsyncIterable<unknown>): Promise<void> => {
    for await (const item of list) expect(item).toBeDefined();
  };
  await expect(walk(client.listJobs())).rejects.toMatchObject({ code: 'INTERNAL' });
  await expect(walk(client.listTrash('/a'))).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(pages).toBeLessThan(100);
});

describe('a listing of the trash', () => {
  it.each<[string, string[]]>([
    ['out of order', ['/a/c', '/a/b']],
    ['from elsewhere', ['/ab']],
    ['that never ends', ['/a/b', '/a/b']],
  ])('%s is refused', async (_what, paths) => {
    const { cluster, client } = connected();
    cluster.tracker.listTrash = async () => ({
      versions: paths.map((path) => ({
        ...{ path, version: 1, sizeBytes: 0, trashedAtUnixMs: 0, expiresInMs: 0, replaced: false },
      })),
      nextPageToken: 'again',
    });
    const listing = (async () => {
      for await (const { path } of client.listTrash('/a')) expect(path).toBe(paths[0]);
    })();
    await expect(listing).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining(JSON.stringify(paths.at(-1))),
    });
  });
});

describe('the chunk size', () => {
  it('is the wish, or the default, as long as the extents stay under the limit', () => {
    expect(chunkSizeFor(1)).toBe(limits.minChunkSizeBytes);
    expect(chunkSizeFor(limits.minChunkSizeBytes + 1)).toBe(0);
    expect(chunkSizeFor(undefined)).toBe(0);
    expect(chunkSizeFor(undefined, MiB)).toBe(MiB);
    expect(chunkSizeFor(1e12)).toBe(limits.defaultChunkSizeBytes);
    for (const size of [1e11, 1e12, 2e12, 6e12]) {
      const chunk = chunkSizeFor(size, limits.minChunkSizeBytes);
      expect(Math.ceil(size / chunk)).toBeLessThanOrEqual(limits.maxExtentsPerCommit);
      expect(chunk % limits.blockSizeBytes).toBe(0);
      expect(chunk).toBeLessThanOrEqual(limits.maxChunkSizeBytes);
    }
    expect(() => chunkSizeFor(1e13)).toThrow(/at most/);
    expect(() => chunkSizeFor(1, 1)).toThrow(/chunk size/);
  });
});
