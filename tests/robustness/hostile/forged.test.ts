/**
 * Tokens and receipts that are right in all but one thing: a field, a bit, the cluster, the time, the chunk they are
 * for. None is ever accepted, and none leaves anything behind.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Receipt, WriteChunkHeader } from '@holdfast/proto';
import { keeperV1, trackerV1 } from '@holdfast/proto';
import { HoldfastError } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { blockChecksums } from '@holdfast/shared';
import {
  type CallableMethod,
  PeerChannel,
  callClientStream,
  callServerStream,
  callUnary,
  controlChannelOptions,
  requestBlocks,
  responseBlocks,
  writeMessage,
} from '@holdfast/shared/grpc';
import { waitFor } from '../../support/wait.js';
import { storedPieces } from '../../support/keeper-disk.js';
import { Choices, seeds } from './support/random.js';

const { BeginUpload, CommitUpload, AbortUpload } = trackerV1.UploadService.service;
const { LocateChunks, ReportBadPiece } = trackerV1.ChunkLocationService.service;
const { StatChunk } = keeperV1.ChunkService.service;
const WriteChunk = requestBlocks(keeperV1.ChunkService.service.WriteChunk);
const ReadChunk = responseBlocks(keeperV1.ChunkService.service.ReadChunk);
const StreamReplica = responseBlocks(keeperV1.ReplicaService.service.StreamReplica);
const { ReplicateChunk } = keeperV1.ReplicaService.service;
const data = Buffer.from('some bytes that somebody wants to have stored');
const blockSizeBytes = 65_536;
/** It only ends what hangs: what is wrong is refused at once. */
const deadlineMs = 120_000;
const choices = new Choices(seeds()[0]!);

/** A cluster with the channels to it. */
class Side {
  readonly cluster: Cluster;
  readonly #channels = new Map<string, PeerChannel>();

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  channel(address: string): PeerChannel {
    const known = this.#channels.get(address) ?? new PeerChannel(address, controlChannelOptions);
    this.#channels.set(address, known);
    return known;
  }

  ask<Request, Response>(method: CallableMethod<Request, Response>, request: Request, address?: string) {
    const at = address ?? this.cluster.trackerAddress;
    return callUnary(this.channel(at), at, method, request, { deadlineMs });
  }

  /** A session with a chunk to write, and what it is written with. */
  async begin(): Promise<{ header: WriteChunkHeader; keepers: readonly string[]; uploadId: string }> {
    const request = { path: `/f-${choices.id()}`, requestId: choices.id(), allocateCount: 1 };
    const { uploadId, allocations } = await this.ask(BeginUpload, request);
    const [{ chunkId, writeToken, keepers }] = allocations as [(typeof allocations)[0]];
    const [, ...followers] = keepers;
    const header = {
      chunkId,
      uploadId,
      length: data.length,
      blockSizeBytes,
      pieceIndex: 0,
      followers,
      writeToken,
    };
    return { header, keepers: keepers.map(({ address }) => address), uploadId };
  }

  async write(header: WriteChunkHeader, address: string) {
    const { stream, response } = callClientStream(this.channel(address), address, WriteChunk, { deadlineMs });
    await writeMessage(stream, { header })
      .then(() => writeMessage(stream, { blocks: { offset: 0, checksums: [...blockChecksums(data)], data } }))
      .catch(() => undefined);
    stream.end();
    return response;
  }

  close(): void {
    for (const channel of this.#channels.values()) channel.close();
  }
}

let ours: Side;
let theirs: Side;

beforeAll(async () => {
  // No heartbeat tells the tracker what is stored: receipts alone do.
  const trackerSettings = { heartbeatIntervalMs: 600_000, suspectAfterMs: 1_200_000, deadAfterMs: 1_800_000 };
  // However late a follower is, its receipt comes.
  const keeperSettings = { followerStallMs: 60_000 };
  const start = (): Promise<Cluster> => startCluster({ keepers: 3, trackerSettings, keeperSettings });
  const [one, other] = await Promise.all([start(), start()]);
  [ours, theirs] = [new Side(one), new Side(other)];
});
afterAll(async () => {
  for (const side of [ours, theirs]) {
    side.close();
    await side.cluster.stop();
  }
});

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'accepted',
    (error: unknown) => (HoldfastError.is(error) ? error.code : String(error)),
  );
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at]! ^= 1 << choices.below(8);
  return changed;
}

/** A token with any one bit changed, cut, longer, or with a signature of another. */
function forgeries(token: Buffer, another: Buffer): Buffer[] {
  return [
    ...Array.from(token, (_, at) => flipped(token, at)),
    ...[Buffer.alloc(0), token.subarray(0, -1), Buffer.concat([token, Buffer.alloc(1)]), Buffer.alloc(95)],
    Buffer.concat([token.subarray(0, 63), another.subarray(63)]),
    Buffer.concat([another.subarray(0, 63), token.subarray(63)]),
  ];
}

describe('a token', () => {
  it('to write with anything changed writes nothing', async () => {
    const { header, keepers } = await ours.begin();
    const another = await ours.begin();
    const foreign = await theirs.begin();
    const token = header.writeToken as Buffer;
    const wrong: [what: string, header: WriteChunkHeader][] = [
      ...forgeries(token, another.header.writeToken as Buffer).map(
        (writeToken): [string, WriteChunkHeader] => [
          `token ${writeToken.toString('hex')}`,
          { ...header, writeToken },
        ],
      ),
      ['of another chunk', { ...header, writeToken: another.header.writeToken! }],
      ['of another cluster', { ...header, writeToken: foreign.header.writeToken! }],
      ['for another chunk id', { ...header, chunkId: choices.id() }],
      ['for the chunk of another', { ...another.header, writeToken: token }],
      ['for another upload', { ...header, uploadId: another.uploadId }],
    ];
    for (const [what, each] of wrong) {
      const code = await codeOf(ours.write(each, keepers[0]!));
      expect([what, code]).toEqual([what, 'UNAUTHENTICATED']);
    }
    const order = { ...header, followers: [], source: { keeperId: choices.id(), address: '127.0.0.1:1' } };
    for (const writeToken of forgeries(token, another.header.writeToken as Buffer).slice(-8)) {
      const code = await codeOf(ours.ask(ReplicateChunk, { ...order, writeToken }, keepers[1]));
      expect(code).toBe('UNAUTHENTICATED');
    }
    for (const { dataDir } of ours.cluster.keepers) expect(await storedPieces(dataDir)).toEqual([]);
    // And with nothing changed it does.
    expect((await ours.write(header, keepers[0]!)).receipts).toHaveLength(3);
  });

  it('to read with anything changed reads nothing', async () => {
    const client = await ours.cluster.connect();
    await client.upload(data, '/read');
    await client.upload(data, '/read-too');
    const locate = async (path: string) => {
      const { extents } = await ours.ask(LocateChunks, { path, target: 'path' });
      const [{ extent, readToken, pieces }] = extents as [(typeof extents)[0]];
      return { chunkId: extent!.chunkId, readToken, keeper: pieces[0]!.keeper! };
    };
    const [one, other] = [await locate('/read'), await locate('/read-too')];
    const { header } = await ours.begin();
    const { chunkId, keeper } = one;
    const piece = { chunkId, pieceIndex: 0 };
    const channel = ours.channel(keeper.address);
    const read = async (readToken: Buffer): Promise<void> => {
      const messages = callServerStream(
        channel,
        'keeper',
        ReadChunk,
        { ...piece, readToken },
        { deadlineMs },
      );
      for await (const message of messages) expect(message).toBeDefined();
    };
    const follow = async (token: Buffer): Promise<void> => {
      const request = { ...piece, token, keeperId: choices.id() };
      for await (const message of callServerStream(channel, 'keeper', StreamReplica, request, {
        deadlineMs,
      })) {
        expect(message).toBeDefined();
      }
    };
    const wrong = [
      ...forgeries(one.readToken, other.readToken),
      other.readToken,
      header.writeToken as Buffer,
    ];
    for (const [index, token] of wrong.entries()) {
      const calls = [
        () => ours.ask(StatChunk, { ...piece, readToken: token }, keeper.address),
        () => read(token),
        () => follow(token),
        () => ours.ask(ReportBadPiece, { ...piece, keeperId: keeper.keeperId, readToken: token }),
      ];
      expect([index, await codeOf(calls[index % calls.length]!())]).toEqual([index, 'UNAUTHENTICATED']);
    }
    await read(one.readToken);
    await follow(one.readToken);
  });

  it('that is over is refused as such', async () => {
    const cluster = await startCluster({ keepers: 1, trackerSettings: { tokenLifetimeMs: 2_000 } });
    const side = new Side(cluster);
    try {
      const client = await cluster.connect();
      await client.upload(data, '/read', { replicas: 1, minWrite: 1 });
      const { extents } = await side.ask(LocateChunks, { path: '/read', target: 'path' });
      const [{ extent, readToken, pieces }] = extents as [(typeof extents)[0]];
      const request = { chunkId: extent!.chunkId, pieceIndex: 0, readToken };
      await waitFor('the token to be over', async () => {
        const code = await codeOf(side.ask(StatChunk, request, pieces[0]!.keeper!.address));
        return code === 'TOKEN_EXPIRED';
      });
    } finally {
      side.close();
      await cluster.stop();
    }
  });
});

describe('a receipt', () => {
  it('with anything changed does not count, and a commit that needs it changes nothing', async () => {
    const { header, keepers, uploadId } = await ours.begin();
    const { receipts } = await ours.write(header, keepers[0]!);
    const other = await ours.begin();
    const { receipts: ofOther } = await ours.write(other.header, other.keepers[0]!);
    const foreign = await theirs.begin();
    const { receipts: ofTheirs } = await theirs.write(foreign.header, foreign.keepers[0]!);
    const [first, second] = receipts as [Receipt, Receipt];
    const { chunkId } = header;
    const path = `/f-${choices.id()}`;
    const commit = (given: readonly Receipt[], seal: object = {}) =>
      ours.ask(CommitUpload, {
        ...{ uploadId, requestId: choices.id() },
        files: [
          {
            path,
            sizeBytes: data.length,
            extents: [{ chunkId: chunkId!, chunkOffset: 0, length: data.length }],
          },
        ],
        sealed: [
          { chunkId: chunkId!, length: data.length, digest: first.digest!, receipts: [...given], ...seal },
        ],
      });
    const change = (what: object): Receipt[] => [first, { ...second, ...what }];
    const signature = second.signature as Buffer;
    const wrong: [what: string, receipts: Receipt[]][] = [
      ['none', []],
      ['one of two', [first]],
      ['one twice', [first, first]],
      ['another piece', change({ pieceIndex: 1 })],
      ['another keeper', change({ keeperId: first.keeperId })],
      ['a keeper that is none', change({ keeperId: choices.id() })],
      ['another storage', change({ storageId: first.storageId })],
      ['another start', change({ incarnation: Number(second.incarnation) + 1 })],
      ['another length', change({ length: data.length + 1 })],
      ['another digest', change({ digest: choices.bytes(32) })],
      ['another signature', change({ signature: first.signature })],
      ['no signature', change({ signature: Buffer.alloc(0) })],
      ['half a signature', change({ signature: signature.subarray(0, 16) })],
      ...Array.from({ length: 32 }, (_, at): [string, Receipt[]] => [
        `bit of byte ${at} of the signature`,
        change({ signature: flipped(signature, at) }),
      ]),
      ['another chunk of ours', [first, ofOther[1]!]],
      ['another chunk of ours, renamed', [first, { ...ofOther[1]!, chunkId: chunkId! }]],
      ['another cluster', [first, ofTheirs[1]!]],
      [
        'another cluster, renamed',
        [first, { ...ofTheirs[1]!, chunkId: chunkId!, keeperId: second.keeperId! }],
      ],
    ];
    for (const [what, given] of wrong) {
      expect([what, await codeOf(commit(given))]).toEqual([
        what,
        expect.stringMatching(/^(INVALID_ARGUMENT|UNAUTHENTICATED)$/),
      ]);
    }
    for (const seal of [
      { digest: choices.bytes(32) },
      { length: data.length - 1 },
      { chunkId: other.header.chunkId },
    ]) {
      expect([seal, await codeOf(commit([first, second], seal))]).toEqual([
        seal,
        expect.stringMatching(/^(INVALID_ARGUMENT|UNAUTHENTICATED)$/),
      ]);
    }
    const client = await ours.cluster.connect();
    await expect(client.stat(path)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await commit([first, second]);
    expect(await client.readFile(path)).toEqual(data);
    await ours.ask(AbortUpload, { uploadId: other.uploadId });
  });
});
