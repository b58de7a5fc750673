/** Downloads from keepers that are slow, dead, lying or hostile: the committed bytes or an error, never others. */
import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { HoldfastError, blockChecksums, joinBytes, limits } from '@holdfast/shared';
import { type DownloadTarget, download } from '../src/download/download.js';
import { readBytes } from '../src/download/read-stream.js';
import type { PieceMessage } from '../src/ports/keeper-api.js';
import type { LocatedExtent } from '../src/ports/tracker-api.js';
import type { TransferProgress } from '../src/upload/upload.js';
import { FakeCluster, hang } from './support/fake-cluster.js';

const MiB = 1024 * 1024;
const block = limits.blockSizeBytes;

class MemoryTarget implements DownloadTarget {
  readonly bytes: Buffer;
  finished = false;
  discarded = false;
  constructor(sizeBytes: number) {
    this.bytes = Buffer.alloc(sizeBytes);
  }
  async write(data: Uint8Array, position: number): Promise<void> {
    this.bytes.set(data, position);
  }
  async finish(): Promise<void> {
    this.finished = true;
  }
  async discard(): Promise<void> {
    this.discarded = true;
  }
}

/** A cluster with a file of `size` bytes; `fetch` downloads it. */
function stored(size: number, chunkBytes = MiB, keepers = 3) {
  const cluster = new FakeCluster(keepers);
  const bytes = randomBytes(size);
  const entry = cluster.put('/file', bytes, chunkBytes);
  const target = new MemoryTarget(size);
  const fetch = (options = {}) => download(cluster.context(), entry, target, options);
  // What the tracker knows was learnt before anything went wrong.
  const ready = cluster.tracker.locateChunks({ target: { path: '/file' }, offset: 0, lengthBytes: 0 });
  return { cluster, bytes, entry, target, fetch, ready };
}

async function* none(): AsyncGenerator<PieceMessage> {
  // Nothing at all.
}

describe('a download', () => {
  it.each([0, 1, block, MiB, 5 * MiB + 4_321])('of %i bytes gives exactly these', async (size) => {
    const { bytes, target, fetch } = stored(size);
    let seen = 0;
    const result = await fetch({
      onProgress: (p: { transferredBytes: number }) => (seen = p.transferredBytes),
    });
    expect(result).toEqual({ path: '/file', version: 1, sizeBytes: size });
    expect(target.bytes.equals(bytes)).toBe(true);
    expect({ finished: target.finished, seen }).toEqual({ finished: true, seen: size });
  });

  it('fetches what is there now if the file was replaced, and what was is gone, before it began', async () => {
    const { cluster, target, fetch } = stored(3 * block);
    const now = Buffer.alloc(2 * block, 7);
    cluster.put('/file', now);
    cluster.versions.delete(1);
    expect(await fetch()).toEqual({ path: '/file', version: 2, sizeBytes: now.length });
    expect(target.bytes.subarray(0, now.length).equals(now)).toBe(true);
  });

  it('of a file that is gone says so', async () => {
    const { cluster, entry, target, fetch, ready } = stored(3 * block);
    await ready;
    cluster.paths.delete('/file');
    cluster.versions.delete(entry.version);
    await expect(fetch()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(target.discarded).toBe(true);
  });

  it('follows the pages of LocateChunks and stays on its version', async () => {
    const { cluster, bytes, target, fetch } = stored(20 * block, block);
    cluster.locatePageSize = 3;
    let replaced = false;
    cluster.before = (name) => {
      if (name !== 'locateChunks' || replaced) return;
      replaced = true;
      cluster.put('/file', Buffer.from('something else'));
    };
    await fetch();
    expect(target.bytes.equals(bytes)).toBe(true);
    // One by `stored`, seven for twenty extents.
    expect(cluster.called('locateChunks')).toBe(8);
  });

  it('goes on from the last verified byte when a piece is corrupt, and reports it', async () => {
    const { cluster, bytes, target, fetch, ready } = stored(MiB);
    await ready;
    const [chunkId, chunk] = [...cluster.keeper(1).chunks][0]!;
    const bad = Buffer.from(chunk);
    bad[6 * block + 5]! ^= 1;
    cluster.keeper(1).chunks.set(chunkId, bad);
    await fetch();
    expect(target.bytes.equals(bytes)).toBe(true);
    expect(cluster.calls.filter((call) => call.startsWith('read'))).toEqual([
      'read 1 0',
      `read 2 ${6 * block}`,
    ]);
    expect(cluster.bad).toMatchObject([
      { chunkId, keeperId: cluster.keeper(1).keeperId, error: { code: 'CHECKSUM_MISMATCH' } },
    ]);
  });

  it.each<[string, () => AsyncIterable<PieceMessage>]>([
    [
      'is down',
      () => {
        throw new HoldfastError('UNAVAILABLE', 'connection refused');
      },
    ],
    ['says nothing', none],
  ])('asks the next keeper when one %s', async (_what, read) => {
    const { cluster, bytes, target, fetch } = stored(3 * MiB);
    cluster.keeper(1).faults.read = read;
    await fetch({ concurrency: 1 });
    expect(target.bytes.equals(bytes)).toBe(true);
    // The first failure is remembered: later chunks do not ask there first.
    expect(cluster.calls.filter((call) => call.startsWith('read 1'))).toHaveLength(1);
    expect(cluster.bad).toEqual([]);
  });

  it('leaves a keeper that hangs within 3 s, at the start and in the middle', async () => {
    for (const before of [0, 3]) {
      const { cluster, bytes, target, fetch } = stored(MiB);
      cluster.keeper(1).faults.read = async function* (messages, request, signal) {
        let passed = 0;
        for await (const message of messages) {
          if (passed++ === before) await hang(request, signal);
          yield message;
        }
      };
      await fetch();
      expect(target.bytes.equals(bytes)).toBe(true);
      expect(cluster.clock.monotonicMs()).toBeLessThanOrEqual(3_000);
    }
  });

  it('does not count its own slow disk against a keeper', async () => {
    const { cluster, target, fetch } = stored(MiB);
    const { write } = target;
    target.write = async (data, position) => {
      await cluster.clock.sleep(10_000);
      return write.call(target, data, position);
    };
    await fetch();
    expect(cluster.calls.filter((call) => call.startsWith('read'))).toEqual(['read 1 0']);
  });

  it('says DATA_LOSS when every copy is corrupt, UNAVAILABLE when some cannot be asked', async () => {
    const { cluster, target, fetch, ready } = stored(MiB);
    await ready;
    for (const { chunks } of cluster.keepers)
      for (const id of chunks.keys()) chunks.set(id, randomBytes(MiB));
    await expect(fetch()).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect(target).toMatchObject({ finished: false, discarded: true });
    cluster.keeper(3).faults.read = () => {
      throw new HoldfastError('UNAVAILABLE', 'down');
    };
    const startedMs = cluster.clock.monotonicMs();
    await expect(fetch()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(cluster.clock.monotonicMs() - startedMs).toBeLessThan(60_000);
  });

  it('waits for a keeper that comes back, and finds copies that were made meanwhile', async () => {
    const { cluster, bytes, target, fetch } = stored(MiB, MiB, 1);
    cluster.keeper(1).faults.read = (messages) => {
      if (cluster.clock.monotonicMs() < 20_000) throw new HoldfastError('UNAVAILABLE', 'restarting');
      return messages;
    };
    await fetch();
    expect(target.bytes.equals(bytes)).toBe(true);
  });

  it('gets a new token for one that expired, without a pause', async () => {
    const { cluster, bytes, target, fetch, ready } = stored(MiB);
    for (const keeper of cluster.keepers) {
      keeper.faults.read = (messages, { readToken }) => {
        if (readToken.toString() === 'token 2') throw new HoldfastError('TOKEN_EXPIRED', 'too old');
        return messages;
      };
    }
    await ready;
    await fetch();
    expect(target.bytes.equals(bytes)).toBe(true);
    expect(cluster.called('locateChunks')).toBe(3);
    expect(cluster.clock.monotonicMs()).toBe(0);
  });

  it('ends at once, and says why, when the target fails', async () => {
    const { cluster, target, fetch } = stored(4 * MiB);
    target.write = async () => {
      throw new HoldfastError('OUT_OF_SPACE', 'the disk is full');
    };
    await expect(fetch()).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    expect(target.discarded).toBe(true);
    expect(cluster.bad).toEqual([]);
  });

  it('ends when it is aborted', async () => {
    const { cluster, target, fetch } = stored(4 * MiB);
    const abort = new AbortController();
    for (const keeper of cluster.keepers) {
      keeper.faults.read = async function* (_messages, request, signal) {
        queueMicrotask(() => abort.abort());
        await hang(request, signal);
        yield* none();
      };
    }
    await expect(fetch({ signal: abort.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(target).toMatchObject({ finished: false, discarded: true });
  });
});

describe('a keeper that lies', () => {
  const other = randomBytes(MiB);
  const header = (data: Buffer, digest: Buffer): PieceMessage => ({
    kind: 'header',
    lengthBytes: data.length,
    blockSizeBytes: block,
    digest,
  });
  const run = (offset: number, data: Buffer): PieceMessage => ({
    kind: 'blocks',
    run: { offset, data, checksums: blockChecksums(data) },
  });

  type Lie = (bytes: Buffer, digest: Buffer) => Iterable<PieceMessage>;
  const lies: Record<string, Lie> = {
    'with other bytes and matching checksums': (_bytes, digest) => [header(other, digest), run(0, other)],
    'with another chunk': () => [header(other, randomBytes(32)), run(0, other)],
    'by leaving out the header': (bytes) => [run(0, bytes)],
    'with two headers': (bytes, digest) => [header(bytes, digest), header(bytes, digest)],
    'by a gap': (bytes, digest) => [
      header(bytes, digest),
      run(0, bytes.subarray(0, block)),
      run(2 * block, bytes.subarray(2 * block)),
    ],
    'by starting too late': (bytes, digest) => [header(bytes, digest), run(block, bytes.subarray(block))],
    'by half a block': (bytes, digest) => [header(bytes, digest), run(0, bytes.subarray(0, block / 2))],
    'past the end': (bytes, digest) => [header(bytes, digest), run(0, Buffer.concat([bytes, other]))],
    'by ending early': (bytes, digest) => [header(bytes, digest), run(0, bytes.subarray(0, block))],
    'without end': (bytes, digest) =>
      (function* () {
        yield header(bytes, digest);
        for (;;) yield run(0, Buffer.alloc(0));
      })(),
  };

  it.each(Object.entries(lies))('%s is not believed', async (_what, lie) => {
    const { cluster, bytes, target, fetch } = stored(MiB);
    cluster.keeper(1).faults.read = async function* (messages) {
      for await (const message of messages) {
        if (message.kind === 'header') yield* lie(bytes, message.digest);
        return;
      }
    };
    await fetch();
    expect(target.bytes.equals(bytes)).toBe(true);
  });

  it('with all the others, each block with its checksum, ends the download', async () => {
    const { cluster, target, fetch } = stored(MiB);
    let reads = 0;
    for (const { faults } of cluster.keepers) {
      faults.read = async function* (messages) {
        if ((reads += 1) > 1_000) throw new Error('they are asked for ever');
        for await (const message of messages) {
          if (message.kind === 'header') yield* [message, run(0, other)];
          return;
        }
      };
    }
    await expect(fetch()).rejects.toMatchObject({ code: 'DATA_LOSS' });
    expect(target).toMatchObject({ finished: false, discarded: true });
  });

  it('about a whole chunk ends the download, also where another one has some of its blocks', async () => {
    const { cluster, fetch } = stored(MiB);
    const [first, second, third] = [1, 2, 3].map((number) => cluster.keeper(number));
    let reads = 0;
    first!.faults.read = async function* (messages, { offset }) {
      if ((reads += 1) > 1_000) throw new Error('it is asked for ever');
      for await (const message of messages) {
        if (message.kind === 'header') yield* [message, run(offset, other.subarray(offset))];
        return;
      }
    };
    const [chunkId, chunk] = [...second!.chunks][0]!;
    const rotten = Buffer.from(chunk);
    rotten[6 * block]! ^= 1;
    second!.chunks.set(chunkId, rotten);
    third!.faults.read = () => {
      throw new HoldfastError('UNAVAILABLE', 'down');
    };
    await expect(fetch()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('about a whole chunk, slowly, takes no patience from one that restarts', async () => {
    const { cluster, bytes, target, fetch } = stored(MiB, MiB, 2);
    const { clock } = cluster;
    cluster.keeper(1).faults.read = async function* (messages, { offset }) {
      for await (const message of messages) {
        if (message.kind !== 'header') return;
        yield message;
        for (let at = offset; at < MiB; at += block) {
          yield run(at, other.subarray(at, at + block));
          await clock.sleep(2_200);
        }
        return;
      }
    };
    cluster.keeper(2).faults.read = (messages) => {
      if (clock.monotonicMs() < 40_000) throw new HoldfastError('UNAVAILABLE', 'it restarts');
      return messages;
    };
    await fetch();
    expect(target.bytes.equals(bytes)).toBe(true);
  });

  it('about a packed file is not believed, where the digest of the file is known', async () => {
    const cluster = new FakeCluster();
    const bytes = randomBytes(3 * block + 5);
    const entries = cluster.putPacked([
      ['/before', randomBytes(block + 1)],
      ['/file', bytes],
      ['/after', randomBytes(3 * block)],
    ]);
    cluster.keeper(1).faults.read = async function* (messages) {
      for await (const message of messages) {
        if (message.kind === 'header') yield message;
        else {
          const data = Buffer.from(joinBytes(message.run.data));
          data.fill(0);
          yield run(message.run.offset, data);
        }
      }
    };
    const target = new MemoryTarget(bytes.length);
    const told: number[] = [];
    const onProgress = ({ transferredBytes }: TransferProgress) => void told.push(transferredBytes);
    await download(cluster.context(), entries[1]!, target, { onProgress });
    expect(target.bytes.equals(bytes)).toBe(true);
    // Read twice, and counted once.
    expect(Math.max(...told)).toBe(bytes.length);
    expect(told.at(-1)).toBe(bytes.length);
  });

  // No digest tells of a part of a chunk: what is checked block by block is all that there is.
  const liesOfAPart: Record<string, Lie> = {
    'by a flipped bit': (bytes, digest) => {
      const data = Buffer.from(bytes).fill(~(bytes[3 * block] ?? 0), 3 * block, 3 * block + 1);
      const checksums = blockChecksums(bytes);
      return [header(bytes, digest), { kind: 'blocks', run: { offset: 0, data, checksums } }];
    },
    'with another chunk': () => [header(other, randomBytes(32)), run(0, other)],
    'by leaving out the header': () => [run(0, other)],
    'by a gap': (bytes, digest) => [
      header(bytes, digest),
      run(0, bytes.subarray(0, 2 * block)),
      run(3 * block, bytes.subarray(3 * block)),
    ],
    'by going back': (bytes, digest) => [
      header(bytes, digest),
      run(0, bytes.subarray(0, 2 * block)),
      run(block, bytes.subarray(block)),
    ],
  };

  it.each(Object.entries(liesOfAPart))(
    'about a part of a chunk, %s, gets no byte through',
    async (_what, lie) => {
      const { cluster, bytes } = stored(MiB);
      cluster.keeper(1).faults.read = async function* (messages) {
        for await (const message of messages) {
          if (message.kind === 'header') yield* lie(bytes, message.digest);
          return;
        }
      };
      const parts: Buffer[] = [];
      const range = { start: 10, end: MiB - 10 };
      for await (const part of readBytes(cluster.context(), { path: '/file' }, range))
        parts.push(joinBytes(part));
      expect(Buffer.concat(parts).equals(bytes.subarray(10, MiB - 9))).toBe(true);
      expect(cluster.calls.filter((call) => call.startsWith('read')).length).toBeGreaterThan(1);
    },
  );
});

it.each<[string, Partial<LocatedExtent>]>([
  ['digest', { chunkDigest: randomBytes(32) }],
  ['block size', { blockSizeBytes: 4_096 }],
  ['length', { chunkLengthBytes: 2 * block + 1 }],
])('a chunk whose %s is another one when it is looked up again is not believed', async (_what, changes) => {
  const { cluster, target, fetch } = stored(2 * block);
  for (const { faults } of cluster.keepers) {
    faults.read = () => {
      cluster.locate = (extents) => extents.map((extent) => ({ ...extent, ...changes }));
      throw new HoldfastError('UNAVAILABLE', 'connection refused');
    };
  }
  await expect(fetch()).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(target.finished).toBe(false);
});

it('a version that is shorter by its second page than by its first is not believed', async () => {
  const { cluster, target, fetch } = stored(6 * block, block);
  cluster.locatePageSize = 3;
  const locateChunks = cluster.tracker.locateChunks.bind(cluster.tracker);
  cluster.tracker.locateChunks = async (...asked) => {
    const page = await locateChunks(...asked);
    const [extent] = page.extents;
    return page.nextOffset === 0 && extent
      ? { ...page, sizeBytes: extent.fileOffset + extent.lengthBytes, extents: [extent] }
      : page;
  };
  await expect(fetch()).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(target.finished).toBe(false);
});

it('a file that is another version whenever its bytes are asked for is given up', async () => {
  const { cluster, fetch } = stored(block);
  cluster.before = (name) => {
    if (name !== 'locateChunks') return;
    if (cluster.versions.size > 1_000) throw new Error('it is looked up for ever');
    cluster.put('/file', randomBytes(block));
    throw new HoldfastError('NOT_FOUND', 'that version is gone');
  };
  await expect(fetch()).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('"/file" is replaced faster than it can be read'),
    cause: expect.objectContaining({ code: 'NOT_FOUND' }),
  });
});

describe('a tracker that makes no sense', () => {
  it.each<[string, Parameters<typeof stored>, (cluster: FakeCluster) => void]>([
    ['by a gap', [4 * block, block], (c) => (c.locate = (all) => all.filter((_, index) => index !== 1))],
    ['by too little', [4 * block, block], (c) => (c.locate = (all) => all.slice(0, 2))],
    ['by nothing', [4 * block, block], (c) => (c.locate = () => [])],
    [
      'by extents outside their chunk',
      [4 * block, block],
      (c) => (c.locate = (all) => all.map((extent) => ({ ...extent, chunkOffset: 1 }))),
    ],
    [
      'about another version',
      [4 * block, block],
      ({ tracker }) => {
        const locateChunks = tracker.locateChunks.bind(tracker);
        tracker.locateChunks = async (...asked) => ({ ...(await locateChunks(...asked)), version: 4_711 });
      },
    ],
  ])('%s is an error, not a wrong file', async (_what, args, spoil) => {
    const { cluster, target, fetch } = stored(...args);
    spoil(cluster);
    await expect(fetch()).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(target.finished).toBe(false);
  });
});

it('a version whose chunk has become another one in the middle of a download is not believed', async () => {
  const { cluster, entry, target, fetch } = stored(2 * block, 2 * block);
  const other = cluster.put('/other', randomBytes(2 * block), 2 * block);
  let asked = 0;
  cluster.before = (name) => {
    if (name !== 'locateChunks' || asked++ === 0) return;
    cluster.versions.set(entry.version, { ...cluster.versions.get(other.version)!, entry });
    for (const keeper of cluster.keepers) keeper.faults = {};
  };
  for (const keeper of cluster.keepers) {
    keeper.faults.read = () => {
      throw new HoldfastError('UNAVAILABLE', 'down');
    };
  }
  await expect(fetch()).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(target.finished).toBe(false);
});

describe('a read stream', () => {
  async function read(cluster: FakeCluster, options = {}, memoryBytes?: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of readBytes(cluster.context(memoryBytes), { path: '/file' }, options))
      parts.push(joinBytes(part));
    return Buffer.concat(parts);
  }

  it.each([
    [0, 0],
    [0, 9_999_999],
    [100, 200],
    [block - 1, block],
    [3 * MiB - 5, 3 * MiB + 5],
    [5 * MiB, 5 * MiB + 9],
    [99 * MiB, 100 * MiB],
  ])('gives bytes %i to %i', async (start, end) => {
    const { cluster, bytes } = stored(6 * MiB + 3, 3 * MiB);
    expect((await read(cluster, { start, end })).equals(bytes.subarray(start, end + 1))).toBe(true);
  });

  it('keeps the order whatever the keepers do, and one version', async () => {
    const { cluster, bytes } = stored(9 * MiB, MiB);
    let turn = 0;
    for (const keeper of cluster.keepers) {
      keeper.faults.read = async function* (messages) {
        await cluster.clock.sleep(((turn++ * 7) % 5) * 100);
        yield* messages;
      };
    }
    expect((await read(cluster)).equals(bytes)).toBe(true);
    expect((await read(cluster, {}, 0)).equals(bytes)).toBe(true);
  });

  it('fetches no further ahead than it may, and stops when the reader leaves', async () => {
    const { cluster } = stored(30 * MiB, MiB);
    const context = cluster.context(2 * MiB);
    const bytes = readBytes(context, { path: '/file' });
    await bytes.next();
    expect(context.memory.usedBytes).toBeLessThanOrEqual(2 * MiB);
    await bytes.return();
    const reads = cluster.calls.filter((call) => call.startsWith('read')).length;
    expect(reads).toBeLessThanOrEqual(5);
    expect(context.memory.usedBytes).toBe(0);
  });

  it('does not wait for memory that another reader holds', async () => {
    const { cluster, bytes } = stored(8 * MiB, MiB);
    const context = cluster.context(MiB);
    const stalled = readBytes(context, { path: '/file' });
    await stalled.next();
    const parts: Buffer[] = [];
    for await (const part of readBytes(context, { path: '/file' })) parts.push(joinBytes(part));
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    await stalled.return();
  });

  it('hands over what has come before the rest of its segment has', async () => {
    const { cluster, bytes } = stored(8 * MiB, 8 * MiB);
    let go = (): void => undefined;
    const taken = new Promise<void>((resolve) => {
      go = resolve;
    });
    for (const keeper of cluster.keepers) {
      keeper.faults.read = async function* (messages) {
        let runs = 0;
        for await (const message of messages) {
          if (message.kind === 'blocks' && runs++ > 0) await taken;
          yield message;
        }
      };
    }
    const parts: Buffer[] = [];
    let silenceMs = Infinity;
    const begunMs = cluster.clock.monotonicMs();
    for await (const part of readBytes(cluster.context(), { path: '/file' })) {
      // A reader that had to wait for the whole segment would wait until keepers are given up for their silence.
      silenceMs = Math.min(silenceMs, cluster.clock.monotonicMs() - begunMs);
      parts.push(joinBytes(part));
      go();
    }
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    expect(silenceMs).toBe(0);
  });

  it('hands over no byte of a small chunk before its digest is seen to match', async () => {
    const { cluster, bytes } = stored(2 * MiB, 2 * MiB);
    const other = randomBytes(2 * MiB);
    const half = (offset: number): PieceMessage => ({
      kind: 'blocks',
      run: {
        ...{ offset, data: other.subarray(offset, offset + MiB) },
        checksums: blockChecksums(other.subarray(offset, offset + MiB)),
      },
    });
    cluster.keeper(1).faults.read = async function* (messages) {
      for await (const message of messages) {
        if (message.kind === 'header') yield* [message, half(0), half(MiB)];
        return;
      }
    };
    expect((await read(cluster)).equals(bytes)).toBe(true);
    expect(cluster.calls.filter((call) => call.startsWith('read'))).toHaveLength(2);
  });

  it('refuses nonsense ranges', async () => {
    const { cluster } = stored(10);
    await expect(read(cluster, { start: -1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(read(cluster, { start: 5, end: 1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
