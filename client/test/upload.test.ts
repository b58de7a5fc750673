/** Uploads against keepers and a tracker that fail in every way the contract allows. */
import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { HoldfastError, limits, type Receipt } from '@holdfast/shared';
import type { ClientContext } from '../src/core/context.js';
import { MemoryShare } from '../src/core/memory-share.js';
import { contentDigest } from '../src/local/content-digest.js';
import type { KeeperApi } from '../src/ports/keeper-api.js';
import { bytesSource } from '../src/upload/bytes-source.js';
import type { ChunkSource } from '../src/upload/chunk-source.js';
import { streamSource } from '../src/upload/stream-source.js';
import { type UploadOptions, upload } from '../src/upload/upload.js';
import { FakeCluster, hang } from './support/fake-cluster.js';

const KiB = 1024;
const chunkSizeBytes = 256 * KiB;
const down = (): never => {
  throw new HoldfastError('UNAVAILABLE', 'connection refused');
};

function put(cluster: FakeCluster, bytes: Buffer, options: UploadOptions = {}, path = '/file') {
  return upload(cluster.context(), bytesSource(bytes), path, { chunkSizeBytes, ...options });
}

describe('an upload', () => {
  it.each([1, 64 * KiB, chunkSizeBytes, chunkSizeBytes + 1, 10 * chunkSizeBytes + 12_345])(
    'stores %i bytes exactly, with all copies',
    async (size) => {
      const cluster = new FakeCluster();
      const bytes = randomBytes(size);
      const result = await put(cluster, bytes);
      expect(cluster.content('/file')?.equals(bytes)).toBe(true);
      const chunks = Math.ceil(size / chunkSizeBytes);
      expect(result).toEqual({
        path: '/file',
        sizeBytes: size,
        version: 1,
        contentDigest: await contentDigest(bytes),
        copies: { chunks, fewest: 3, wanted: 3, chunksBelowPolicy: 0 },
      });
    },
  );

  it('costs two tracker calls and one keeper call for a small file, two calls for an empty one', async () => {
    const cluster = new FakeCluster();
    await put(cluster, Buffer.from('hello'));
    expect(cluster.calls).toEqual(['beginUpload', 'write 1', 'commitUpload']);
    cluster.calls.length = 0;
    await put(cluster, Buffer.alloc(0), {}, '/empty');
    expect(cluster.calls).toEqual(['beginUpload', 'commitUpload']);
    expect(cluster.content('/empty')).toEqual(Buffer.alloc(0));
  });

  describe('takes no word of a keeper about others than those behind it', () => {
    /** Uploads to keepers of which each, at the head, says that the others and itself have failed. */
    async function putToSlanderers(cluster: FakeCluster): Promise<ClientContext> {
      const context = cluster.context();
      const error = new HoldfastError('UNAVAILABLE', 'it is said to be gone');
      const keepers: KeeperApi = {
        ...context.keepers,
        writeChunk: async (head, ...asked) => {
          const outcome = await context.keepers.writeChunk(head, ...asked);
          const strangers = Array.from({ length: 1_000 }, (_, n) => `${n}`.padStart(32, '0'));
          const slandered = [head.keeperId, ...strangers].map((keeperId) => ({ keeperId, error }));
          return { ...outcome, failures: [...outcome.failures, ...slandered] };
        },
      };
      await upload({ ...context, keepers }, bytesSource(randomBytes(100)), '/file', { chunkSizeBytes });
      return context;
    }

    it('whom it shuns', async () => {
      const { health } = await putToSlanderers(new FakeCluster(6));
      expect([...health.recentlyFailed()]).toEqual([]);
    });

    it('when it says why copies are too few', async () => {
      const cluster = new FakeCluster(3);
      for (const { faults } of cluster.keepers) {
        faults.follow = () => new HoldfastError('DISK_FAILED', 'its disk is broken');
      }
      const error = await putToSlanderers(cluster).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ message: expect.stringContaining('its disk is broken') });
      expect(error).toMatchObject({ message: expect.not.stringContaining('is said to be gone') });
    });
  });

  it('takes a stream whose pieces have any size, and reuses their memory', async () => {
    const cluster = new FakeCluster();
    const bytes = randomBytes(3 * chunkSizeBytes + 77);
    const shared = Buffer.alloc(10_000);
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += shared.length) {
        const piece = bytes.subarray(at, at + shared.length);
        piece.copy(shared);
        yield shared.subarray(0, piece.length);
      }
    }
    const context = cluster.context();
    const source = streamSource(pieces(), new MemoryShare(context.memory));
    const result = await upload(context, source, '/s', { chunkSizeBytes });
    expect(cluster.content('/s')?.equals(bytes)).toBe(true);
    expect(result.sizeBytes).toBe(bytes.length);
    expect(context.memory.usedBytes).toBe(0);
  });

  it('reports each sealed chunk once, and never more than a call may carry', async () => {
    const cluster = new FakeCluster();
    const reported: string[] = [];
    cluster.before = (_name, request) => {
      const { sealed = [] } = (request ?? {}) as { sealed?: { chunkId: string }[] };
      expect(sealed.length).toBeLessThanOrEqual(limits.maxSealedPerCall);
      reported.push(...sealed.map(({ chunkId }) => chunkId));
    };
    await put(cluster, randomBytes(20 * 64 * KiB), { chunkSizeBytes: 64 * KiB });
    expect(reported).toHaveLength(20);
    expect(new Set(reported).size).toBe(20);
    expect(cluster.called('allocateChunks')).toBeLessThan(6);
  });

  it('sends on while keepers sync what they have, up to a bound', async () => {
    const cluster = new FakeCluster();
    const { writeChunk } = cluster.keeperApi;
    const chunks = 12;
    const most = { sending: 0, syncing: 0 };
    const syncing: (() => void)[] = [];
    let sending = 0;
    let received = 0;
    cluster.keeperApi.writeChunk = async (...call) => {
      most.sending = Math.max(most.sending, (sending += 1));
      const outcome = await writeChunk(...call);
      sending -= 1;
      received += 1;
      await new Promise<void>((resolve) => {
        most.syncing = Math.max(most.syncing, syncing.push(resolve));
        // Two senders and four that wait are six; a seventh would be here by then, and none would ever end.
        setImmediate(() => {
          if (syncing.length === 6) syncing.shift()?.();
          if (received === chunks) for (const end of syncing.splice(0)) end();
        });
      });
      return outcome;
    };
    const bytes = randomBytes(chunks * chunkSizeBytes);
    await put(cluster, bytes, { concurrency: 2 });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(most).toEqual({ sending: 2, syncing: 6 });
  });

  it('refuses an existing file before any byte is sent, unless it may be replaced', async () => {
    const cluster = new FakeCluster();
    cluster.put('/file', Buffer.from('old'));
    await expect(put(cluster, Buffer.from('new'))).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(cluster.calls).toEqual(['beginUpload']);
    await put(cluster, Buffer.from('new'), { overwrite: true });
    expect(cluster.content('/file')?.toString()).toBe('new');
    await expect(put(cluster, Buffer.from('x'), { expectedVersion: 1 })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    });
  });

  it.each([0, 65, 1.5])('refuses a concurrency of %d', async (concurrency) => {
    const cluster = new FakeCluster();
    await expect(put(cluster, Buffer.alloc(1), { concurrency })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(cluster.calls).toEqual([]);
  });
});

describe('when keepers fail, an upload', () => {
  it('writes a chunk anew, under a new id, away from a head that is down', async () => {
    const cluster = new FakeCluster(4);
    cluster.keeper(1).faults.write = down;
    const bytes = randomBytes(chunkSizeBytes);
    await put(cluster, bytes);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(cluster.keeper(1).chunks.size).toBe(0);
    const [session] = cluster.sessions.values();
    expect(session?.chunkIds.size).toBeGreaterThan(1);
    expect(cluster.calls.filter((call) => call === 'write 1')).toHaveLength(1);
  });

  it('leaves a head that takes nothing', async () => {
    const cluster = new FakeCluster(4);
    cluster.keeper(1).faults.write = hang;
    const bytes = randomBytes(2 * chunkSizeBytes);
    await put(cluster, bytes, { concurrency: 1 });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('leaves a head that stops in the middle', async () => {
    const cluster = new FakeCluster(4);
    const { writeChunk } = cluster.keeperApi;
    cluster.keeperApi.writeChunk = async (head, request, runs, options) => {
      if (head.keeperId !== cluster.keeper(1).keeperId) return writeChunk(head, request, runs, options);
      for await (const _run of runs) await hang(undefined, options.signal);
      throw new Error('not reached');
    };
    const bytes = randomBytes(chunkSizeBytes);
    await put(cluster, bytes);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('leaves a head that has all bytes and never says so', async () => {
    const cluster = new FakeCluster(4);
    const { writeChunk } = cluster.keeperApi;
    cluster.keeperApi.writeChunk = async (head, request, runs, options) => {
      if (head.keeperId !== cluster.keeper(1).keeperId) return writeChunk(head, request, runs, options);
      for await (const run of runs) expect(run.data.length).toBeGreaterThan(0);
      return hang(undefined, options.signal);
    };
    const bytes = randomBytes(chunkSizeBytes);
    await put(cluster, bytes);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(cluster.clock.monotonicMs()).toBeLessThan(30_000);
  });

  it('is content with min_write copies, and says how many there are', async () => {
    const cluster = new FakeCluster(3);
    cluster.keeper(3).faults.follow = () => new HoldfastError('UNAVAILABLE', 'down');
    const { copies } = await put(cluster, randomBytes(100));
    expect(copies).toEqual({ chunks: 1, fewest: 2, wanted: 3, chunksBelowPolicy: 1 });
  });

  it('tries others when fewer than min_write stored the chunk', async () => {
    const cluster = new FakeCluster(4);
    cluster.keeper(2).faults.follow = () => new HoldfastError('OUT_OF_SPACE', 'full');
    await put(cluster, randomBytes(100), { minWrite: 3 });
    const [extent] = cluster.versions.get(1)!.extents;
    expect(cluster.keepers.map(({ chunks }) => chunks.has(extent!.chunkId))).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  /** Renewals of the lease ask for none. */
  const asksForChunks = (name: string, request: unknown): boolean =>
    name === 'beginUpload' || (name === 'allocateChunks' && (request as { count: number }).count > 0);

  it('waits for room that is on its way, before the first chunk and any other', async () => {
    const cluster = new FakeCluster();
    let refusals = 0;
    cluster.before = (name, request) => {
      if (!asksForChunks(name, request) || refusals++ % 100 === 99) return;
      const options = { retryable: true, retryAfterMs: 1_000 };
      throw new HoldfastError('OUT_OF_SPACE', 'keepers are full of what was deleted', options);
    };
    const bytes = randomBytes(5 * chunkSizeBytes);
    const reasons = new Set<string>();
    const onWaiting = ({ message }: HoldfastError): void => void reasons.add(message);
    await put(cluster, bytes, { concurrency: 1, onWaiting });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect([...reasons]).toEqual(['keepers are full of what was deleted']);
  });

  it('does not wait for room that is not, nor for ever', async () => {
    const cluster = new FakeCluster();
    let retryable = false;
    cluster.before = (name, request) => {
      if (name !== 'allocateChunks' || !asksForChunks(name, request)) return;
      throw new HoldfastError('OUT_OF_SPACE', 'full', { retryable, retryAfterMs: 1_000 });
    };
    const bytes = randomBytes(5 * chunkSizeBytes);
    const startMs = cluster.clock.monotonicMs();
    await expect(put(cluster, bytes, { concurrency: 1 })).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    expect(cluster.clock.monotonicMs() - startMs).toBeLessThan(1_000);
    retryable = true;
    await expect(put(cluster, bytes, { concurrency: 1 })).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    expect(cluster.clock.monotonicMs() - startMs).toBeGreaterThan(14 * 60_000);
    expect(cluster.calls.at(-1)).toBe('abortUpload');
  });

  it('that waits for room is cancelled at once', async () => {
    const cluster = new FakeCluster();
    const full = new HoldfastError('OUT_OF_SPACE', 'full', { retryable: true, retryAfterMs: 1_000 });
    cluster.before = (name, request) => {
      if (name === 'allocateChunks' && asksForChunks(name, request)) throw full;
    };
    const abort = new AbortController();
    const bytes = randomBytes(5 * chunkSizeBytes);
    const uploading = put(cluster, bytes, {
      ...{ concurrency: 1, signal: abort.signal },
      onWaiting: () => abort.abort(),
    });
    await expect(uploading).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(cluster.calls.filter((call) => call === 'allocateChunks').length).toBe(1);
    expect(cluster.calls.at(-1)).toBe('abortUpload');
  });

  const otherDigest = (receipt: Receipt): Receipt => ({ ...receipt, digest: Buffer.alloc(32) });
  it.each<[string, (receipts: Receipt[]) => Receipt[]]>([
    ['for other bytes', (receipts) => receipts.map(otherDigest)],
    ['for another length', (receipts) => receipts.map((r) => ({ ...r, lengthBytes: r.lengthBytes + 1 }))],
    ['for another chunk', (receipts) => receipts.map((r) => ({ ...r, chunkId: 'f'.repeat(32) }))],
    ['of one keeper, several times', ([first]) => [first!, first!, first!]],
    [
      'of keepers outside the chain',
      (receipts) => receipts.map((r, n) => ({ ...r, keeperId: `${7 + n}`.repeat(32) })),
    ],
    ['that are missing', () => []],
  ])('does not count receipts %s', async (_what, receipts) => {
    const cluster = new FakeCluster(3);
    for (const keeper of cluster.keepers) keeper.faults.receipts = receipts;
    await expect(put(cluster, randomBytes(100))).rejects.toMatchObject({ code: 'NOT_ENOUGH_KEEPERS' });
    expect(cluster.content('/file')).toBeUndefined();
    expect(cluster.calls.at(-1)).toBe('abortUpload');
  });

  it('gives up within its budget, saying what to do, when no keeper can be written to', async () => {
    const cluster = new FakeCluster(3);
    for (const keeper of cluster.keepers) keeper.faults.write = down;
    const error = await put(cluster, randomBytes(100)).catch((thrown: unknown) => thrown as HoldfastError);
    expect(error).toMatchObject({ code: 'NOT_ENOUGH_KEEPERS' });
    expect((error as HoldfastError).remedy).not.toBe('');
    expect(cluster.clock.monotonicMs()).toBeLessThan(60_000);
    expect([...cluster.sessions.values()][0]?.state).toBe('aborted');
  });

  it('says so within seconds when there are too few from the start', async () => {
    const cluster = new FakeCluster(1);
    await expect(put(cluster, randomBytes(100))).rejects.toMatchObject({ code: 'NOT_ENOUGH_KEEPERS' });
    expect(cluster.clock.monotonicMs()).toBeLessThan(6_000);
  });

  it('holds an expired token against nobody', async () => {
    const cluster = new FakeCluster(3);
    let expired = 0;
    cluster.keeper(1).faults.write = () => {
      if (expired++ === 0) throw new HoldfastError('TOKEN_EXPIRED', 'too old');
    };
    await put(cluster, randomBytes(100));
    expect(cluster.calls.filter((call) => call === 'write 1')).toHaveLength(2);
    expect(cluster.content('/file')).toHaveLength(100);
  });
});

describe('when the tracker fails, an upload', () => {
  it('rides out 20 s without it', async () => {
    const cluster = new FakeCluster();
    cluster.before = (name) => {
      const gone = cluster.clock.monotonicMs() < 20_000;
      if (gone && (name === 'allocateChunks' || name === 'commitUpload')) down();
    };
    const bytes = randomBytes(12 * chunkSizeBytes);
    await put(cluster, bytes, { concurrency: 2 });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('asks again for a commit whose answer was lost, and has one effect', async () => {
    const cluster = new FakeCluster();
    const requestIds = new Set<string>();
    let lost = 0;
    cluster.before = (name, request) => {
      if (name === 'commitUpload') requestIds.add((request as { requestId: string }).requestId);
    };
    cluster.after = (name) => {
      if (name === 'commitUpload' && lost++ < 3) throw new HoldfastError('DEADLINE_EXCEEDED', 'no answer');
    };
    const { version } = await put(cluster, randomBytes(10));
    expect({ version, versions: cluster.versions.size, ids: requestIds.size }).toEqual({
      version: 1,
      versions: 1,
      ids: 1,
    });
    expect(cluster.called('commitUpload')).toBe(4);
  });

  it('asks again for a session whose answer was lost in the same words', async () => {
    const cluster = new FakeCluster();
    const requestIds = new Set<string>();
    let lost = 0;
    cluster.before = (name, request) => {
      if (name === 'beginUpload') requestIds.add((request as { requestId: string }).requestId);
    };
    cluster.after = (name) => {
      if (name === 'beginUpload' && lost++ < 3) throw new HoldfastError('UNAVAILABLE', 'no answer');
    };
    await put(cluster, randomBytes(10));
    expect([cluster.called('beginUpload'), requestIds.size]).toEqual([4, 1]);
  });

  it('asks a tracker with a defect a few times and no more', async () => {
    const cluster = new FakeCluster();
    cluster.before = (name) => {
      if (name === 'beginUpload') throw new HoldfastError('INTERNAL', 'a defect');
    };
    await expect(put(cluster, randomBytes(10))).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(cluster.called('beginUpload')).toBe(3);
  });

  it('keeps its lease while a keeper is slow', async () => {
    const cluster = new FakeCluster();
    cluster.leaseMs = 3_000;
    let heardMs = 0;
    cluster.before = () => {
      expect(cluster.clock.monotonicMs() - heardMs).toBeLessThan(cluster.leaseMs);
      heardMs = cluster.clock.monotonicMs();
    };
    cluster.keeper(1).faults.write = () => cluster.clock.sleep(12_000);
    await put(cluster, randomBytes(10));
    expect(cluster.called('allocateChunks')).toBeGreaterThan(5);
  });

  it('ends when its session was closed', async () => {
    const cluster = new FakeCluster();
    cluster.before = (name) => {
      if (name === 'allocateChunks') throw new HoldfastError('UPLOAD_CLOSED', 'the lease is over');
    };
    const bytes = randomBytes(12 * chunkSizeBytes);
    await expect(put(cluster, bytes)).rejects.toMatchObject({ code: 'UPLOAD_CLOSED' });
  });
});

describe('an upload that is given up', () => {
  it('leaves nothing visible, aborts its session and names the reason', async () => {
    const cluster = new FakeCluster();
    const abort = new AbortController();
    cluster.keeper(1).faults.write = (_chunk, signal) => {
      queueMicrotask(() => abort.abort());
      return hang(undefined, signal);
    };
    const context = cluster.context();
    const source = bytesSource(randomBytes(9 * chunkSizeBytes));
    const uploading = upload(context, source, '/file', { chunkSizeBytes, signal: abort.signal });
    await expect(uploading).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(cluster.content('/file')).toBeUndefined();
    expect([...cluster.sessions.values()].map(({ state }) => state)).toEqual(['aborted']);
    expect(context.memory.usedBytes).toBe(0);
  });

  it('while its session is opened, leaves no session open', async () => {
    const cluster = new FakeCluster();
    const abort = new AbortController();
    cluster.after = (name) => {
      if (name === 'beginUpload') abort.abort();
    };
    // As over gRPC: a call whose signal is aborted ends without its answer.
    const { beginUpload } = cluster.tracker;
    cluster.tracker.beginUpload = async (request, options) => {
      const session = await beginUpload(request, options);
      if (options?.signal?.aborted) throw options.signal.reason;
      return session;
    };
    await expect(put(cluster, randomBytes(10), { signal: abort.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect([...cluster.sessions.values()].map(({ state }) => state)).toEqual(['aborted']);
  });

  it('too late, after the commit, has succeeded and says so', async () => {
    const cluster = new FakeCluster();
    const abort = new AbortController();
    cluster.after = (name) => {
      if (name !== 'commitUpload' || abort.signal.aborted) return;
      abort.abort();
      throw new HoldfastError('CANCELLED', 'the answer was not waited for');
    };
    const bytes = randomBytes(10);
    await expect(put(cluster, bytes, { signal: abort.signal })).resolves.toMatchObject({ version: 1 });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(cluster.versions.size).toBe(1);
  });

  it('before the commit had its effect, leaves nothing visible', async () => {
    const cluster = new FakeCluster();
    const abort = new AbortController();
    cluster.before = (name) => {
      if (name !== 'commitUpload') return;
      abort.abort();
      throw new HoldfastError('CANCELLED', 'it never arrived');
    };
    await expect(put(cluster, randomBytes(10), { signal: abort.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(cluster.content('/file')).toBeUndefined();
    expect([...cluster.sessions.values()].map(({ state }) => state)).toEqual(['aborted']);
  });

  it.each([true, false])(
    'with a tracker that is lost in the commit says that nobody knows (%s)',
    async (by) => {
      const cluster = new FakeCluster();
      const abort = new AbortController();
      cluster.before = (name) => {
        if (name !== 'commitUpload' && name !== 'abortUpload') return;
        if (by) abort.abort();
        throw new HoldfastError('UNAVAILABLE', 'the tracker is gone');
      };
      await expect(put(cluster, randomBytes(10), { signal: abort.signal })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(/could not be learnt/),
        remedy: expect.stringMatching(/stat/),
        facts: { outcome: 'unknown' },
      });
    },
  );

  it.each([{ mode: 0o100644 }, { mode: NaN }, { modifiedAtUnixMs: NaN }])(
    'with attributes that no file has (%j) is refused before a byte is sent',
    async (attributes) => {
      const cluster = new FakeCluster();
      await expect(put(cluster, randomBytes(10), { attributes })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      expect(cluster.calls).toEqual([]);
    },
  );

  it('does not wait for a producer that is silent', async () => {
    const cluster = new FakeCluster();
    const abort = new AbortController();
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x');
      queueMicrotask(() => abort.abort());
      await new Promise(() => undefined);
    }
    const context = cluster.context();
    const source = streamSource(silent(), new MemoryShare(context.memory));
    const uploading = upload(context, source, '/file', { signal: abort.signal });
    await expect(uploading).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it.each(['checkUnchanged', 'runs'] as const)('is refused when its source changed (%s)', async (where) => {
    const cluster = new FakeCluster();
    const changed = (): never => {
      throw new HoldfastError('SOURCE_CHANGED', 'it changed');
    };
    const inner = bytesSource(randomBytes(2 * chunkSizeBytes));
    let closed = 0;
    const source: ChunkSource = {
      ...inner,
      next: async (maxBytes, signal) => {
        const chunk = await inner.next(maxBytes, signal);
        return chunk && where === 'runs' ? { ...chunk, runs: changed } : chunk;
      },
      checkUnchanged: async () => (where === 'checkUnchanged' ? changed() : undefined),
      close: async () => void closed++,
    };
    await expect(upload(cluster.context(), source, '/file', { chunkSizeBytes })).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
    });
    expect(cluster.content('/file')).toBeUndefined();
    expect(cluster.calls.filter((call) => call === 'write 1').length).toBeLessThanOrEqual(4);
    expect(closed).toBe(1);
  });
});

describe('memory', () => {
  it('bounds what a fast stream may pile up before slow keepers', async () => {
    const cluster = new FakeCluster();
    const context = cluster.context(2 * chunkSizeBytes);
    let produced = 0;
    let stored = 0;
    let most = 0;
    async function* fast(): AsyncGenerator<Uint8Array> {
      for (; produced < 40 * chunkSizeBytes; produced += 64 * KiB) {
        most = Math.max(most, produced - stored);
        yield Buffer.alloc(64 * KiB);
      }
    }
    cluster.keeper(1).faults.receipts = (receipts) => {
      stored += chunkSizeBytes;
      return receipts;
    };
    cluster.keeper(1).faults.write = () => cluster.clock.sleep(100);
    const source = streamSource(fast(), new MemoryShare(context.memory));
    await upload(context, source, '/file', { chunkSizeBytes, concurrency: 16 });
    // The budget, the one chunk that every transfer may hold, and the piece in hand.
    expect(most).toBeLessThanOrEqual(3 * chunkSizeBytes + 64 * KiB);
    expect(context.memory.usedBytes).toBe(0);
  });

  it('of a transfer that stands still does not hold up another', async () => {
    const cluster = new FakeCluster();
    const context = cluster.context(chunkSizeBytes);
    const taken = new MemoryShare(context.memory);
    await taken.take(chunkSizeBytes);
    await taken.take(chunkSizeBytes);
    const bytes = randomBytes(5 * chunkSizeBytes);
    async function* one(): AsyncGenerator<Uint8Array> {
      yield bytes;
    }
    const source = streamSource(one(), new MemoryShare(context.memory));
    await upload(context, source, '/file', { chunkSizeBytes });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });
});
