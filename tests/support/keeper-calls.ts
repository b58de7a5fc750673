/** Calls to servers as a client of any language may make them: also one that stops in the middle. */
import { setMaxListeners } from 'node:events';
import { type KeeperStatusOutput, keeperV1, trackerV1 } from '@holdfast/proto';
import { blockChecksums } from '@holdfast/shared';
import {
  PeerChannel,
  callClientStream,
  callServerStream,
  callUnary,
  controlChannelOptions,
  dataChannelOptions,
  requestBlocks,
  responseBlocks,
  writeMessage,
} from '@holdfast/shared/grpc';

const Check = {
  path: '/grpc.health.v1.Health/Check',
  requestSerialize: () => Buffer.alloc(0),
  responseDeserialize: (bytes: Buffer) => bytes,
};
/** HealthCheckResponse with field 1, status, SERVING. */
const serving = Buffer.from([0x08, 0x01]);
const { LocateChunks } = trackerV1.ChunkLocationService.service;
const { ListKeepers } = trackerV1.ClusterService.service;
const { BeginUpload } = trackerV1.UploadService.service;
const { service } = keeperV1.ChunkService;
const ReadChunk = responseBlocks(service.ReadChunk);
const WriteChunk = requestBlocks(service.WriteChunk);
/** Of calls that take no time, or are given up before. */
const deadlineMs = 120_000;

/** What a tracker says of its keepers. */
export async function listKeepers(address: string): Promise<readonly KeeperStatusOutput[]> {
  const channel = new PeerChannel(address, controlChannelOptions);
  try {
    return (await callUnary(channel, address, ListKeepers, {}, { deadlineMs })).keepers;
  } finally {
    channel.close();
  }
}

/** Asks a server for its health, over a connection of its own. Rejects if it does not say in time that it serves. */
export async function checkHealth(address: string, withinMs: number): Promise<void> {
  const channel = new PeerChannel(address, controlChannelOptions);
  try {
    const answer = await callUnary(channel, address, Check, undefined, { deadlineMs: withinMs });
    if (!answer.equals(serving)) throw new Error(`${address} says ${answer.toString('hex')}`);
  } finally {
    channel.close();
  }
}

/** A transfer that stands still since its beginning; `ended` tells how its keeper ended it. */
export interface Stalled {
  readonly ended: () => Promise<unknown>;
}

/** A client with one connection to the tracker and one to a keeper. */
export class RawClient {
  readonly #tracker: PeerChannel;
  readonly #keeper: PeerChannel;
  readonly #abort = new AbortController();

  constructor(trackerAddress: string, keeperAddress: string) {
    // Every call listens to it.
    setMaxListeners(0, this.#abort.signal);
    this.#tracker = new PeerChannel(trackerAddress, controlChannelOptions);
    this.#keeper = new PeerChannel(keeperAddress, dataChannelOptions);
  }

  /** How many bytes the keeper's piece of the first chunk of a file has. Rejects if an answer takes too long. */
  async statFirstPiece(path: string, withinMs: number): Promise<number> {
    const options = { deadlineMs: withinMs };
    const piece = await this.#firstPiece(path, withinMs);
    const { length } = await callUnary(this.#keeper, 'keeper', service.StatChunk, piece, options);
    return length;
  }

  async #firstPiece(
    path: string,
    withinMs: number,
  ): Promise<{ chunkId: string; pieceIndex: number; readToken: Buffer }> {
    const request = { path, offset: 0, length: 0 };
    const options = { deadlineMs: withinMs };
    const { extents } = await callUnary(this.#tracker, 'tracker', LocateChunks, request, options);
    const { extent, readToken } = extents[0]!;
    return { chunkId: extent!.chunkId, pieceIndex: 0, readToken };
  }

  /** Opens the first chunk of a file and reads no further than its header. */
  async stallReading(path: string): Promise<Stalled> {
    const request = { ...(await this.#firstPiece(path, deadlineMs)), offset: 0, length: 0 };
    const options = { deadlineMs, signal: this.#abort.signal };
    const messages = callServerStream(this.#keeper, 'keeper', ReadChunk, request, options);
    const first = await messages.next();
    if (first.done === true || !first.value.header) throw new Error('no header came');
    const ended = async (): Promise<unknown> => {
      try {
        for (;;) if ((await messages.next()).done === true) return undefined;
      } catch (error) {
        return error;
      }
    };
    return { ended };
  }

  /** Begins chunks of `lengthBytes`, one piece each, sends `sentBytes` of them and no more. */
  async stallWriting(count: number, lengthBytes: number, sentBytes: number): Promise<Stalled[]> {
    const { uploadId, blockSizeBytes, allocations } = await callUnary(
      this.#tracker,
      'tracker',
      BeginUpload,
      {
        requestId: `stalled-${performance.now()}`,
        policy: { scheme: 'POLICY_SCHEME_REPLICAS', pieces: 1, needed: 1, minWrite: 1 },
        allocateCount: count,
      },
      { deadlineMs },
    );
    const data = Buffer.alloc(sentBytes, 7);
    const checksums = [...blockChecksums(data, blockSizeBytes)];
    return Promise.all(
      allocations.map(async ({ chunkId, writeToken }) => {
        const options = { deadlineMs, signal: this.#abort.signal };
        const { stream, response } = callClientStream(this.#keeper, 'keeper', WriteChunk, options);
        const header = { chunkId, uploadId, length: lengthBytes, blockSizeBytes, pieceIndex: 0 };
        await writeMessage(stream, { header: { ...header, followers: [], writeToken } });
        await writeMessage(stream, { blocks: { offset: 0, checksums, data } });
        return { ended: () => response.catch((error: unknown) => error) };
      }),
    );
  }

  close(): void {
    this.#abort.abort();
    this.#tracker.close();
    this.#keeper.close();
  }
}
