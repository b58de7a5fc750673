/** ReadChunk and StatChunk over a real socket: ranges, damage, nonsense, cancellation. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keeperV1 } from '@holdfast/proto';
import { limits, newId } from '@holdfast/shared';
import { PeerChannel, callServerStream, controlChannelOptions } from '@holdfast/shared/grpc';
import { systemRandom } from '@holdfast/shared/node';
import { open } from 'node:fs/promises';
import { MiB, TestCluster, bytesOf, digestOf, until } from './support/fixtures.js';

let cluster: TestCluster;
let chunkId: string;
const block = limits.blockSizeBytes;
const data = bytesOf(2 * MiB + 3 * block + 11);

beforeAll(async () => {
  cluster = await TestCluster.start(1, { settings: { maxReads: 2 } });
  const header = cluster.header(data.length);
  chunkId = header.chunkId;
  await cluster.client().write(header, data);
});
afterAll(() => cluster.end());

describe('ReadChunk', () => {
  it.each([
    [0, 0],
    [0, 1],
    [1, 1],
    [block - 1, 2],
    [block, block],
    [MiB - 1, 2],
    [0, data.length],
    [data.length - 1, 1],
    [data.length - 1, 1_000_000],
    [2 * MiB, 0],
  ])('covers the range from %i of %i bytes with whole blocks and no more', async (offset, length) => {
    const { runs, ...header } = await cluster.client().read(cluster.readRequest(chunkId, offset, length));
    expect(header).toMatchObject({ length: data.length, digest: digestOf(data) });
    const start = runs[0]?.offset ?? -1;
    const end = start + header.data.length;
    expect(start).toBe(Math.floor(offset / block) * block);
    const wanted = length === 0 ? data.length : Math.min(offset + length, data.length);
    expect(end).toBe(Math.min(Math.ceil(wanted / block) * block, data.length));
    expect(header.data.equals(data.subarray(start, end))).toBe(true);
    for (const run of runs) expect(run.data.length).toBeLessThanOrEqual(limits.messageDataBytes);
  });

  it('refuses what makes no sense', async () => {
    const request = cluster.readRequest(chunkId);
    const { tracker } = cluster;
    const cases: [object, string][] = [
      [{ offset: data.length }, 'INVALID_ARGUMENT'],
      [{ offset: Number.MAX_VALUE }, 'INVALID_ARGUMENT'],
      [{ chunkId: 'x' }, 'INVALID_ARGUMENT'],
      [{ pieceIndex: 99 }, 'INVALID_ARGUMENT'],
      [{ pieceIndex: 1 }, 'NOT_FOUND'],
      [{ readToken: Buffer.alloc(0) }, 'UNAUTHENTICATED'],
      [{ readToken: tracker.readToken(newId(systemRandom)) }, 'UNAUTHENTICATED'],
      [{ readToken: tracker.readToken(chunkId, { key: Buffer.alloc(32) }) }, 'UNAUTHENTICATED'],
      [{ readToken: tracker.writeToken(chunkId, newId(systemRandom)) }, 'UNAUTHENTICATED'],
      [{ readToken: tracker.readToken(chunkId, { expiresAtUptimeMs: 1 }) }, 'TOKEN_EXPIRED'],
    ];
    for (const [change, code] of cases) {
      await expect(cluster.client().read({ ...request, ...change })).rejects.toMatchObject({ code });
    }
  });

  it('gives an error, and no wrong byte, for a block that is damaged on disk', async () => {
    const header = cluster.header(data.length);
    await cluster.client().write(header, data);
    const file = await open(cluster.pathOf(0, header.chunkId), 'r+');
    await file.write(Buffer.from([1, 2, 3]), 0, 3, 4096 + MiB + 5);
    await file.close();
    await expect(cluster.client().read(cluster.readRequest(header.chunkId))).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
    const sound = await cluster.client().read(cluster.readRequest(header.chunkId, 0, MiB));
    expect(sound.data.equals(data.subarray(0, MiB))).toBe(true);
  });

  it('stops at once for a client that leaves, and bounds how many read', async () => {
    const long = bytesOf(48 * MiB);
    const header = cluster.header(long.length);
    await cluster.client().write(header, long);
    const channel = new PeerChannel(cluster.keeper().address, controlChannelOptions);
    const start = (): AsyncGenerator<unknown> =>
      callServerStream(
        channel,
        'keeper',
        keeperV1.ChunkService.service.ReadChunk,
        cluster.readRequest(header.chunkId),
        { deadlineMs: 60_000 },
      );
    const streams = [start(), start()];
    for (const stream of streams) await stream.next();
    await expect(start().next()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED', retryable: true });
    for (const stream of streams) await stream.return(undefined);
    await until(() =>
      cluster
        .client()
        .read(cluster.readRequest(chunkId, 0, 1))
        .then(
          () => true,
          () => false,
        ),
    );
    channel.close();
  });
});

describe('StatChunk', () => {
  it('describes pieces that are stored, being written, and not there', async () => {
    const client = cluster.client();
    expect(await client.stat(chunkId, cluster.tracker.readToken(chunkId))).toMatchObject({
      length: data.length,
      blockSizeBytes: block,
      durable: true,
      digest: digestOf(data),
    });
    const header = cluster.header(data.length);
    let writing: unknown;
    await client.write(header, data, {
      between: async (index) => {
        if (index !== 2) return;
        await until(async () => {
          // Not there until the keeper has taken the header.
          writing = await client
            .stat(header.chunkId, cluster.tracker.readToken(header.chunkId))
            .catch(() => undefined);
          return writing !== undefined;
        });
      },
    });
    expect(writing).toMatchObject({ length: data.length, durable: false, digest: Buffer.alloc(0) });
    const other = newId(systemRandom);
    await expect(client.stat(other, cluster.tracker.readToken(other))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});
