/** WriteChunk over a real socket: what is right, and every kind of nonsense. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { WriteChunkHeader, WriteChunkRequest } from '@holdfast/proto';
import { HoldfastError, blockChecksums, newId, signToken } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { readdir, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { MiB, TestCluster, bytesOf, until } from './support/fixtures.js';
import { messagesOf } from './support/test-client.js';

let cluster: TestCluster;
/** The keeper that gives up whoever is silent for a second, a slow machine too: nothing else is asked of it. */
const impatient = 1;
beforeAll(async () => {
  cluster = await TestCluster.start(1);
  await cluster.add({ settings: { clientStallMs: 1_000, sourceStallMs: 1_100 } });
});
afterAll(async () => {
  const { dataDir } = cluster.keeper();
  await cluster.end();
  // The directories that it syncs: let go of at the end.
  await until(async () => (await openBelow(dataDir)).length === 0);
});

/** What descriptors of this process stand for below the directory. */
async function openBelow(directory: string): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd');
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.filter((target) => target.startsWith(directory));
}

/** All but the directories that are synced again and again: pieces, under whatever name. */
async function openFiles(): Promise<string[]> {
  const open = await Promise.all([0, impatient].map((index) => openBelow(cluster.keeper(index).dataDir)));
  return open.flat().filter((target) => basename(target).includes('.'));
}

// Whatever a test did: nothing half written stays, and no handle.
afterEach(async () => {
  for (const index of [0, impatient]) await until(async () => (await cluster.temporary(index)).length === 0);
  await until(async () => (await openFiles()).length === 0);
});

function codeOf(error: unknown): string {
  return HoldfastError.is(error) ? error.code : String(error);
}

const data = bytesOf(MiB + 100_000);
const [first, second] = messagesOf(data) as [WriteChunkRequest, WriteChunkRequest];

async function expectGone(chunkId: string, index = 0): Promise<void> {
  await expect(cluster.client(index).read(cluster.readRequest(chunkId))).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
}

describe('WriteChunk', () => {
  it('refuses messages that are out of order or out of bounds, and keeps nothing', async () => {
    const header = (change: Partial<WriteChunkHeader> = {}): WriteChunkRequest => ({
      header: { ...cluster.header(data.length), ...change },
    });
    const blocks = (change: object): WriteChunkRequest => ({ blocks: { ...first.blocks, ...change } });
    const run = (lengthBytes: number, blockSizeBytes?: number): WriteChunkRequest => {
      const part = data.subarray(0, lengthBytes);
      return blocks({ checksums: blockChecksums(part, blockSizeBytes), data: part });
    };
    const tooLong = MiB + 4_096;
    const cases: Record<string, WriteChunkRequest[]> = {
      'nothing at all': [],
      'blocks before the header': [first],
      'an empty message': [{}],
      'two headers': [header(), header()],
      'an empty message among blocks': [header(), {}],
      'a gap': [header(), second],
      'the same blocks twice': [header(), first, first],
      'a block twice, and so as many bytes as were said': [
        header({ length: 131_072 }),
        run(65_536),
        run(65_536),
      ],
      'more than a message may carry': [
        header({ length: tooLong, blockSizeBytes: 4_096 }),
        run(tooLong, 4_096),
      ],
      'too few bytes': [header(), first],
      'too many bytes': [header({ length: 1_000 }), first],
      'an unaligned offset': [header(), blocks({ offset: 1 })],
      'a huge offset': [header(), blocks({ offset: Number.MAX_VALUE })],
      'too few checksums': [header(), blocks({ checksums: [1] })],
      'no checksums': [header(), blocks({ checksums: [] })],
      'no length': [header({ length: 0 })],
      'a length past the limit': [header({ length: 65 * MiB })],
      'an odd block size': [header({ blockSizeBytes: 65_537 })],
      'no chunk id': [header({ chunkId: '' })],
      'a path for a chunk id': [header({ chunkId: '../../../../../etc/passwd'.padEnd(32, 'x') })],
      'a piece index past the limit': [header({ pieceIndex: 16 })],
      'a follower without address': [header({ followers: [{ keeperId: newId(systemRandom) }] })],
    };
    for (const [what, messages] of Object.entries(cases)) {
      const outcome = await cluster
        .client()
        .send(messages)
        .then(() => 'accepted', codeOf);
      expect([what, outcome]).toEqual([what, 'INVALID_ARGUMENT']);
    }
  });

  it('refuses a block that does not match, as such', async () => {
    const header = cluster.header(data.length);
    const checksums = [...(first.blocks?.checksums ?? [])];
    checksums[3] = (checksums[3] ?? 0) ^ 1;
    await expect(
      cluster.client().send([{ header }, { blocks: { ...first.blocks, checksums } }]),
    ).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH', message: expect.stringContaining('196608') });
    await expectGone(header.chunkId);
  });

  it('refuses more followers than a chunk has pieces', async () => {
    const follower = { keeperId: newId(systemRandom), address: '127.0.0.1:1', zone: '' };
    const header = { ...cluster.header(10), followers: Array.from({ length: 16 }, () => follower) };
    await expect(cluster.client().write(header, bytesOf(10))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
  });

  it('refuses tokens that are missing, forged, foreign, for something else, or expired', async () => {
    const { tracker } = cluster;
    const header = cluster.header(data.length);
    const { chunkId, uploadId } = header;
    const claims = { operation: 'write' as const, chunkId, uploadId, epoch: 1, expiresAtUptimeMs: 1e9 };
    const forged = Buffer.from(tracker.writeToken(chunkId, uploadId));
    forged[40] = (forged[40] ?? 0) ^ 1;
    const cases: Record<string, [Buffer, string]> = {
      missing: [Buffer.alloc(0), 'UNAUTHENTICATED'],
      forged: [forged, 'UNAUTHENTICATED'],
      'signed by another cluster': [
        signToken({ ...claims, maxLengthBytes: MiB * 64 }, systemRandom.bytes(32)),
        'UNAUTHENTICATED',
      ],
      'for another chunk': [tracker.writeToken(newId(systemRandom), uploadId), 'UNAUTHENTICATED'],
      'for another upload': [tracker.writeToken(chunkId, newId(systemRandom)), 'UNAUTHENTICATED'],
      'for reading': [tracker.readToken(chunkId), 'UNAUTHENTICATED'],
      'for a shorter chunk': [
        tracker.writeToken(chunkId, uploadId, { maxLengthBytes: 10 }),
        'INVALID_ARGUMENT',
      ],
      expired: [tracker.writeToken(chunkId, uploadId, { expiresAtUptimeMs: 1 }), 'TOKEN_EXPIRED'],
    };
    for (const [what, [writeToken, code]] of Object.entries(cases)) {
      const outcome = await cluster
        .client()
        .write({ ...header, writeToken }, data)
        .then(() => 'accepted', codeOf);
      expect([what, outcome]).toEqual([what, code]);
    }
    await expectGone(chunkId);
  });

  it('takes tokens of the epochs before and after the one it knows', async () => {
    for (const epoch of [0, 2]) {
      const header = cluster.header(10);
      const writeToken = cluster.tracker.writeToken(header.chunkId, header.uploadId, { epoch });
      const { receipts } = await cluster.client().write({ ...header, writeToken }, bytesOf(10));
      expect(receipts).toHaveLength(1);
    }
  });

  it('answers the same receipt for the same bytes, and refuses others', async () => {
    const header = cluster.header(data.length);
    const { receipts } = await cluster.client().write(header, data);
    const again = await cluster.client().write(header, data);
    expect(again.receipts).toEqual(receipts);
    await expect(cluster.client().write(header, bytesOf(data.length, 2))).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    });
    const read = await cluster.client().read(cluster.readRequest(header.chunkId));
    expect(read.data.equals(data)).toBe(true);
  });

  it('refuses a second write of a chunk while the first one runs', async () => {
    const header = cluster.header(data.length);
    let refused: unknown;
    const { receipts } = await cluster.client().write(header, data, {
      between: async (index) => {
        if (index !== 2) return;
        await until(async () => (await cluster.temporary()).length === 1);
        refused = await cluster
          .client()
          .write(header, data)
          .catch((error: unknown) => error);
      },
    });
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect(receipts).toHaveLength(1);
  });

  it('forgets a client that cancels in the middle', async () => {
    const header = cluster.header(data.length);
    const abort = new AbortController();
    const written = cluster.client().send([{ header }, first], { signal: abort.signal, leaveOpen: true });
    await until(async () => (await cluster.temporary()).length === 1);
    abort.abort();
    await expect(written).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(async () => (await cluster.temporary()).length === 0);
    await expectGone(header.chunkId);
  });

  it.each([
    ['in the middle', [first]],
    ['after the last block', [first, second]],
  ])('gives up a client that stalls %s', async (_where, messages) => {
    const header = cluster.header(data.length);
    const sent = cluster.client(impatient).send([{ header }, ...messages], { leaveOpen: true });
    await expect(sent).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await expectGone(header.chunkId, impatient);
  });

  it('gives up a client that sends no header', async () => {
    await expect(cluster.client(impatient).send([], { leaveOpen: true })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('gives up a client that sends drops when the time for any stream is over', async () => {
    const keeper = await cluster.add({ settings: { streamDeadlineMs: 300 } });
    const index = cluster.keepers.indexOf(keeper);
    const header = { ...cluster.header(4096 * 500), blockSizeBytes: 4096 };
    const drop = bytesOf(4096);
    const drops = Array.from({ length: 500 }, (_, n) => ({
      blocks: { offset: n * 4096, checksums: blockChecksums(drop), data: drop },
    }));
    const sent = cluster.client(index).send([{ header }, ...drops], {
      between: () => new Promise((resolve) => setTimeout(resolve, 10)),
    });
    await expect(sent).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(await cluster.temporary(index)).toEqual([]);
  });
});
