/**
 * A keeper, as far as the client's core needs it: bytes out and in, a chunk at a time. gRPC implements it
 * (`grpc/grpc-keeper.ts`), tests have one in memory. Checksums, order and completeness of what a keeper sends
 * are checked by the core, so that no implementation can forget it.
 */
import type { Bytes, HoldfastError, KeeperEndpoint, Receipt } from '@holdfast/shared';

/**
 * How many runs an implementation of `writeChunk` may hold at once: one that HTTP/2 is taking and one that is
 * ready. A source may reuse the memory of run n once run n + runsInFlight has been asked for.
 */
export const runsInFlight = 2;

/** A run of whole blocks, each with its CRC-32; only the last block of a chunk may be short. */
export interface BlockRun {
  /** Where it starts in the chunk, in bytes; a multiple of the block size. */
  readonly offset: number;
  readonly checksums: readonly number[];
  readonly data: Bytes;
}

export interface WriteChunkRequest {
  readonly chunkId: string;
  readonly uploadId: string;
  readonly lengthBytes: number;
  readonly blockSizeBytes: number;
  /** The chain without its head. */
  readonly followers: readonly KeeperEndpoint[];
  readonly writeToken: Buffer;
}

export interface WriteOutcome {
  readonly receipts: readonly Receipt[];
  /** Followers that did not store the chunk. */
  readonly failures: readonly { readonly keeperId: string; readonly error: HoldfastError }[];
}

export interface ReadChunkRequest {
  readonly chunkId: string;
  readonly pieceIndex: number;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly readToken: Buffer;
}

/** What a keeper sends: what it says the whole piece is, then blocks. */
export type PieceMessage =
  | {
      readonly kind: 'header';
      readonly lengthBytes: number;
      readonly blockSizeBytes: number;
      readonly digest: Buffer;
    }
  | { readonly kind: 'blocks'; readonly run: BlockRun };

interface StreamOptions {
  readonly signal: AbortSignal;
  /** For the whole call. */
  readonly deadlineMs: number;
}

export interface KeeperApi {
  /**
   * Sends a chunk to `head`. Asks for the next run only when it has room, holding at most `runsInFlight`.
   *
   * @throws HoldfastError the keeper's code; UNAVAILABLE, DEADLINE_EXCEEDED; what `runs` throws
   */
  writeChunk(
    head: KeeperEndpoint,
    request: WriteChunkRequest,
    runs: AsyncIterable<BlockRun>,
    options: StreamOptions,
  ): Promise<WriteOutcome>;
  /** Reads a range. Leaving the iteration early stops the keeper. */
  readChunk(
    keeper: KeeperEndpoint,
    request: ReadChunkRequest,
    options: StreamOptions,
  ): AsyncIterable<PieceMessage>;
}
