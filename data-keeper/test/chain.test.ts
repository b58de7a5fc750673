/** Chains of real keepers: the chunk reaches all of them, and trouble with one is that one's. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { blockChecksums, receiptIsValid } from '@holdfast/shared';
import { grpcTransport, readReceipt } from '@holdfast/shared/grpc';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { GrpcPeerKeepers } from '../src/grpc/grpc-peer-keepers.js';
import { AheadClock } from './support/ahead-clock.js';
import { MiB, TestCluster, bytesOf, digestOf, patientSettings, until } from './support/fixtures.js';
import { frozenPeer } from './support/frozen-peer.js';

let cluster: TestCluster;
afterEach(() => cluster.end());

describe('a chain of keepers', () => {
  it.each([1, 2, 3])('stores the same bytes on all of %i, each with a valid receipt', async (keepers) => {
    cluster = await TestCluster.start(keepers);
    const data = bytesOf(3 * MiB + 70_001);
    const header = cluster.header(data.length, [1, 2].slice(0, keepers - 1));
    const { receipts, failures } = await cluster.client().write(header, data);
    expect(failures).toEqual([]);
    expect(receipts.map(({ keeperId }) => keeperId)).toEqual(cluster.keepers.map(({ keeperId }) => keeperId));
    for (const message of receipts) {
      const receipt = readReceipt(message);
      expect(receiptIsValid(receipt, cluster.tracker.receiptKey)).toBe(true);
      expect(receipt).toMatchObject({ lengthBytes: data.length, digest: digestOf(data) });
    }
    const files = await Promise.all(
      cluster.keepers.map((_keeper, index) => readFile(cluster.pathOf(index, header.chunkId))),
    );
    for (const file of files) expect(file.equals(files[0] as Buffer)).toBe(true);
    for (let index = 0; index < keepers; index += 1) {
      const read = await cluster.client(index).read(cluster.readRequest(header.chunkId));
      expect(read.data.equals(data)).toBe(true);
      expect(await cluster.temporary(index)).toEqual([]);
    }
  });

  it('has the followers follow while the chunk arrives', async () => {
    cluster = await TestCluster.start(3);
    const data = bytesOf(6 * MiB);
    let followed = false;
    const { failures } = await cluster.client().write(cluster.header(data.length, [1, 2]), data, {
      between: async (index) => {
        if (index !== 4) return;
        await until(async () => (await cluster.temporary(2)).length > 0);
        followed = true;
      },
    });
    expect(followed).toBe(true);
    expect(failures).toEqual([]);
  });

  it('names a follower that is not there and the one behind it, and succeeds', async () => {
    cluster = await TestCluster.start(3);
    await cluster.keeper(1).kill();
    const data = bytesOf(2 * MiB);
    const { receipts, failures } = await cluster.client().write(cluster.header(data.length, [1, 2]), data);
    expect(receipts).toHaveLength(1);
    expect(failures.map(({ keeperId, error }) => [keeperId, error?.code])).toEqual([
      [cluster.keeper(1).keeperId, 'ERROR_CODE_UNAVAILABLE'],
      [cluster.keeper(2).keeperId, 'ERROR_CODE_UNAVAILABLE'],
    ]);
  });

  it('names a follower that is killed in the middle, and succeeds', async () => {
    cluster = await TestCluster.start(2);
    const data = bytesOf(6 * MiB);
    const header = cluster.header(data.length, [1]);
    const { receipts, failures } = await cluster.client().write(header, data, {
      between: async (index) => {
        if (index !== 3) return;
        await until(async () => (await cluster.temporary(1)).length > 0);
        await cluster.keeper(1).kill();
      },
    });
    expect(receipts).toHaveLength(1);
    expect(failures.map(({ keeperId }) => keeperId)).toEqual([cluster.keeper(1).keeperId]);
    const read = await cluster.client().read(cluster.readRequest(header.chunkId));
    expect(read.data.equals(data)).toBe(true);
  });

  it('leaves nothing on the followers of a head that is killed in the middle', async () => {
    cluster = await TestCluster.start(3);
    const data = bytesOf(6 * MiB);
    const header = cluster.header(data.length, [1, 2]);
    const written = cluster.client().write(header, data, {
      between: async (index) => {
        if (index !== 3) return;
        await until(async () => (await cluster.temporary(2)).length > 0);
        await cluster.keeper(0).kill();
      },
    });
    await expect(written).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await until(async () => (await cluster.temporary(1)).length + (await cluster.temporary(2)).length === 0);
    await expect(cluster.client(1).read(cluster.readRequest(header.chunkId))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('drops a follower that takes nothing, in its own time and not in the client’s', async () => {
    cluster = await TestCluster.start(1, { settings: { followerStallMs: 200 } });
    const frozen = await frozenPeer();
    const data = bytesOf(2 * MiB);
    const header = cluster.header(data.length);
    const follower = { keeperId: 'f'.repeat(32), address: frozen.address, zone: '' };
    const { receipts, failures } = await cluster.client().write({ ...header, followers: [follower] }, data);
    frozen.end();
    expect(receipts).toHaveLength(1);
    expect(failures).toMatchObject([
      { keeperId: follower.keeperId, error: { code: 'ERROR_CODE_DEADLINE_EXCEEDED' } },
    ]);
  });

  it('takes the next piece while one that has arrived waits for its follower, up to a bound', async () => {
    cluster = await TestCluster.start(1, {
      settings: { followerStallMs: 600_000, maxWrites: 1, maxOpenWrites: 2, maxReplicaStreams: 2 },
    });
    const frozen = await frozenPeer();
    const data = bytesOf(2 * MiB);
    const follower = { keeperId: 'f'.repeat(32), address: frozen.address, zone: '' };
    const begun: Promise<{ receipts: unknown[] }>[] = [];
    const arrive = async (): Promise<void> => {
      const header = { ...cluster.header(data.length), followers: [follower] };
      begun.push(cluster.client().write(header, data));
      await until(async () => existsSync(cluster.pathOf(0, header.chunkId)));
    };
    const next = (): Promise<unknown> => cluster.client().write(cluster.header(10), bytesOf(10));
    await arrive();
    await next();
    await arrive();
    await expect(next()).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      message: expect.stringContaining('not durable'),
    });
    frozen.end();
    for (const { receipts } of await Promise.all(begun)) expect(receipts).toHaveLength(1);
  });

  it('counts a piece that is kept in memory among those that arrive until it is durable', async () => {
    cluster = await TestCluster.start(1, { settings: { followerStallMs: 600_000, maxWrites: 1 } });
    const frozen = await frozenPeer();
    const follower = { keeperId: 'f'.repeat(32), address: frozen.address, zone: '' };
    const header = { ...cluster.header(100_000), followers: [follower] };
    const waiting = cluster.client().write(header, bytesOf(100_000));
    await until(async () => existsSync(cluster.pathOf(0, header.chunkId)));
    await expect(cluster.client().write(cluster.header(10), bytesOf(10))).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
    });
    frozen.end();
    expect((await waiting).receipts).toHaveLength(1);
  });

  it('gives up a head that never sends the chunk, and frees its slot', async () => {
    const clock = new AheadClock();
    cluster = await TestCluster.start(1, { clock, settings: { maxWrites: 1 } });
    const frozen = await frozenPeer();
    const { followers: _none, ...header } = cluster.header(10);
    const source = { keeperId: 'f'.repeat(32), address: frozen.address, zone: '' };
    const peers = new GrpcPeerKeepers(source.keeperId, grpcTransport);
    const { chunkId, uploadId, writeToken } = header;
    const order = {
      spec: { chunkId, uploadId, pieceIndex: 0, lengthBytes: 10, blockSizeBytes: 65_536 },
      followers: [],
      writeToken: writeToken as Buffer,
    };
    const options = { deadlineMs: 60_000, signal: new AbortController().signal };
    const replicated = expect(
      peers.replicate(cluster.endpoint(0), source, order, options),
    ).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('did not begin'),
    });
    await until(() => frozen.isAsked());
    clock.setAhead(patientSettings.sourceStallMs);
    await replicated;
    peers.close();
    frozen.end();
    const { receipts } = await cluster.client().write(cluster.header(10), bytesOf(10));
    expect(receipts).toHaveLength(1);
  });

  it('has room for followers however many clients read', async () => {
    cluster = await TestCluster.start(2, { settings: { maxReads: 0 } });
    const data = bytesOf(MiB);
    const { receipts, failures } = await cluster.client().write(cluster.header(MiB, [1]), data);
    expect(failures).toEqual([]);
    expect(receipts).toHaveLength(2);
  });
});

describe('a piece of up to 64 KiB', () => {
  it.each([1, 4096, 65_536])('goes to the followers with the order: %i bytes, no stream', async (length) => {
    cluster = await TestCluster.start(3, { settings: { maxReplicaStreams: 0 } });
    const data = bytesOf(length);
    const header = cluster.header(length, [1, 2]);
    const { receipts, failures } = await cluster.client().write(header, data);
    expect(failures).toEqual([]);
    expect(receipts).toHaveLength(3);
    for (const index of [0, 1, 2]) {
      const read = await cluster.client(index).read(cluster.readRequest(header.chunkId));
      expect(read.data.equals(data)).toBe(true);
    }
  });

  it('is fetched when it is longer', async () => {
    cluster = await TestCluster.start(2, { settings: { maxReplicaStreams: 0 } });
    const data = bytesOf(65_537);
    const { failures } = await cluster.client().write(cluster.header(data.length, [1]), data);
    expect(failures).toMatchObject([{ error: { code: 'ERROR_CODE_LIMIT_EXCEEDED' } }]);
  });

  it('is stored nowhere when its bytes, its digest or its shape are wrong', async () => {
    cluster = await TestCluster.start(2);
    const peers = new GrpcPeerKeepers(cluster.endpoint(0).keeperId, grpcTransport);
    const data = bytesOf(5_000);
    const checksums = blockChecksums(data);
    const digest = digestOf(data);
    // What the network does: the checksums, and the digest that is made of them, are right.
    const damaged = Buffer.from(data).fill(0, 4_999);
    const contents = [
      { run: { offsetBytes: 0, checksums, data: damaged }, digest, code: 'CHECKSUM_MISMATCH' },
      { run: { offsetBytes: 0, checksums: [1], data }, digest, code: 'CHECKSUM_MISMATCH' },
      { run: { offsetBytes: 0, checksums, data }, digest: Buffer.alloc(32), code: 'CHECKSUM_MISMATCH' },
      { run: { offsetBytes: 0, checksums, data }, digest: Buffer.alloc(3), code: 'INVALID_ARGUMENT' },
      { run: { offsetBytes: 65_536, checksums, data }, digest, code: 'INVALID_ARGUMENT' },
      { run: { offsetBytes: 0, checksums, data: data.subarray(1) }, digest, code: 'INVALID_ARGUMENT' },
    ];
    for (const { code, ...content } of contents) {
      const { chunkId, uploadId, writeToken } = cluster.header(data.length);
      const order = {
        spec: { chunkId, uploadId, pieceIndex: 0, lengthBytes: data.length, blockSizeBytes: 65_536 },
        followers: [],
        writeToken: writeToken as Buffer,
      };
      const options = { deadlineMs: 60_000, signal: new AbortController().signal };
      const replicating = peers.replicate(cluster.endpoint(1), cluster.endpoint(0), order, options, content);
      await expect(replicating).rejects.toMatchObject({ code });
      const read = cluster.client(1).read(cluster.readRequest(chunkId));
      await expect(read).rejects.toMatchObject({ code: 'NOT_FOUND' });
    }
    peers.close();
    expect(await cluster.temporary(1)).toEqual([]);
  });
});
