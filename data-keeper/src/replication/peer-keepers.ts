/** Other keepers, as this one calls them. grpc/ implements it; tests may too. */
import type { HoldfastError, KeeperEndpoint, Receipt } from '@holdfast/shared';
import type { BlockRun, PieceKey, PieceSpec } from '../store/piece.js';

/** "Store this piece and see to the rest of the chain." */
export interface WriteOrder {
  readonly spec: PieceSpec;
  /** The rest of the chain, in order, without the keeper that gets the order. */
  readonly followers: readonly KeeperEndpoint[];
  /** The client's. */
  readonly writeToken: Buffer;
}

interface PieceFailure {
  readonly keeperId: string;
  readonly error: HoldfastError;
}

export interface WriteOutcome {
  readonly receipts: readonly Receipt[];
  readonly failures: readonly PieceFailure[];
}

/** Where the blocks of a piece come from: a client, or a peer. */
export interface PieceSource {
  /** In order. Whoever stops early calls `return`. */
  readonly runs: AsyncIterable<BlockRun>;
  /** What the source says the digest is, once `runs` has ended; undefined if it says nothing. */
  readonly digest: () => Buffer | undefined;
}

/** A peer's piece: its shape, then its blocks. */
export interface ReplicaStream extends PieceSource {
  readonly spec: Pick<PieceSpec, 'uploadId' | 'lengthBytes' | 'blockSizeBytes'>;
}

export interface PeerCallOptions {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** All of a small piece. */
export interface PieceContent {
  readonly run: BlockRun;
  readonly digest: Buffer;
}

export interface PeerKeepers {
  /**
   * Has `peer` fetch the piece from `source`, which must be serving it; or gives it the `content` at once, which
   * saves a call where there is little of it. Rejects with the peer's error.
   */
  replicate(
    peer: KeeperEndpoint,
    source: KeeperEndpoint,
    order: WriteOrder,
    options: PeerCallOptions,
    content?: PieceContent,
  ): Promise<WriteOutcome>;
  /**
   * Opens a piece of `peer`, also one that is still being written there; resolves with its header. Abort the
   * signal when done: that ends the stream on the peer's side too.
   *
   * @param token a write token of the chunk's upload, or a read token
   */
  openReplica(
    peer: KeeperEndpoint,
    key: PieceKey,
    token: Buffer,
    options: PeerCallOptions,
  ): Promise<ReplicaStream>;
}
