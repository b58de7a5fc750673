/**
 * Writing a piece, whoever brings it: a client, the keeper before this one in a chain, or a task of the tracker.
 * Receiving, checking, writing and handing on overlap; at most one run of blocks is being written while the next
 * one arrives.
 *
 * The promise: when it resolves the piece is on stable storage here, and every follower has it or is named as
 * failed. When it rejects nothing of the piece is left, here or on those who followed.
 */
import {
  type ByteBudget,
  type Clock,
  HoldfastError,
  type KeeperEndpoint,
  type Logger,
  type Receipt,
  hasCode,
  limits,
} from '@holdfast/shared';
import { type ChainDeps, handOn } from '../replication/chain.js';
import type { PeerKeepers, PieceSource, WriteOrder, WriteOutcome } from '../replication/peer-keepers.js';
import type { KeeperSettings } from '../settings.js';
import type { ChunkStore, PieceWriter } from '../store/chunk-store.js';
import { type PieceSpec, type StoredPiece, pieceName } from '../store/piece.js';
import type { Lease } from '../tracker/lease.js';
import type { TokenGate } from '../tracker/token-gate.js';
import { LivePiece, type LivePieces } from './live-piece.js';
import type { Slots } from './slots.js';
import { orStall, withoutStalls } from './stall.js';

export interface ChunkWriterDeps {
  readonly store: ChunkStore;
  readonly peers: PeerKeepers;
  readonly live: LivePieces;
  /** For runs that followers have not taken yet, of all pieces together. */
  readonly liveMemory: ByteBudget;
  /** For pieces that arrive: each has messages in memory. */
  readonly slots: Slots;
  /** For these and for pieces that are synced, or wait for followers. */
  readonly openSlots: Slots;
  /** For copies that the tracker orders: they take none from clients. */
  readonly copySlots: Slots;
  readonly tokens: TokenGate;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: KeeperSettings;
  readonly self: () => KeeperEndpoint;
  /** Signs a receipt for a piece that is on stable storage. */
  readonly receiptFor: (piece: StoredPiece) => Receipt;
  /** Told of every piece that became durable. */
  readonly onStored: (piece: StoredPiece) => void;
}

export class ChunkWriter {
  readonly #deps: ChunkWriterDeps;

  constructor(deps: ChunkWriterDeps) {
    this.#deps = deps;
  }

  /**
   * Writes a piece under a write token. `openSource` is called when the order is accepted and the followers are
   * on their way.
   *
   * @throws HoldfastError those of TokenGate.check, Lease.check, ChunkStore.begin and PieceWriter;
   *   LIMIT_EXCEEDED; DEADLINE_EXCEEDED from a source that stalls; the source's own
   */
  async write(
    order: WriteOrder,
    openSource: (signal: AbortSignal) => Promise<PieceSource>,
    stallMs: number,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const { chunkId, uploadId, lengthBytes } = order.spec;
    this.#deps.tokens.check(order.writeToken, { operations: ['write'], chunkId, uploadId, lengthBytes });
    this.#deps.lease.check();
    const { slots, openSlots } = this.#deps;
    return openSlots.run(() =>
      slots.run((onReceived) => this.#ingest(order, openSource, stallMs, signal, { onReceived })),
    );
  }

  /** As `write`, on the tracker's own word. */
  copy(
    order: WriteOrder,
    openSource: (signal: AbortSignal) => Promise<PieceSource>,
    stallMs: number,
    signal: AbortSignal,
    expectedDigest: Buffer,
  ): Promise<WriteOutcome> {
    return this.#deps.copySlots.run(() =>
      this.#ingest(order, openSource, stallMs, signal, { expectedDigest }),
    );
  }

  async #ingest(
    order: WriteOrder,
    openSource: (signal: AbortSignal) => Promise<PieceSource>,
    stallMs: number,
    signal: AbortSignal,
    { expectedDigest, onReceived }: { expectedDigest?: Buffer; onReceived?: () => void },
  ): Promise<WriteOutcome> {
    const writer = await this.#deps.store.begin(order.spec);
    const memory = order.followers.length > 0 ? this.#deps.liveMemory : undefined;
    const live = new LivePiece(writer, this.#deps.clock, memory);
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#deps.live.add(live);
    const chain = handOn(this.#chainDeps(), order, live, abort.signal);
    const { clock, settings } = this.#deps;
    const cancelDeadline = clock.schedule(settings.streamDeadlineMs, () => {
      abort.abort(new HoldfastError('DEADLINE_EXCEEDED', 'the piece takes too long to arrive'));
    });
    try {
      const what = 'the source did not begin';
      const source = await orStall(openSource(abort.signal), {
        clock,
        stallMs,
        signal: abort.signal,
        what,
      });
      await this.#receive(writer, live, source, stallMs, abort.signal);
      live.sealed(writer.seal(expectedDigest ?? source.digest()));
      // A short piece is in memory until it is written (piece-body.ts), so it keeps its place.
      if (order.spec.lengthBytes > limits.messageDataBytes) onReceived?.();
      const receipt = this.#stored(await writer.commit());
      const { receipts, failures } = await chain;
      return { receipts: [receipt, ...receipts], failures };
    } catch (error) {
      this.#logFailure(order.spec, error);
      live.givenUp();
      abort.abort(error);
      await writer.abort();
      await chain;
      throw error;
    } finally {
      cancelDeadline();
      signal.removeEventListener('abort', onAbort);
      // Ends the source's stream if it has not ended by itself.
      abort.abort();
      await this.#deps.live.remove(live);
    }
  }

  async #receive(
    writer: PieceWriter,
    live: LivePiece,
    source: PieceSource,
    stallMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this.#deps;
    const what = 'no blocks came';
    // One at a time: meanwhile the next one arrives below, in the stream.
    for await (const run of withoutStalls(source.runs, { clock, stallMs, signal, what })) {
      await writer.append(run);
      live.advanced(run);
    }
  }

  #stored(piece: StoredPiece): Receipt {
    this.#deps.onStored(piece);
    return this.#deps.receiptFor(piece);
  }

  #logFailure(spec: PieceSpec, error: unknown): void {
    const level = hasCode(error, 'DISK_FAILED', 'INTERNAL') ? 'error' : 'debug';
    this.#deps.logger[level](`the write of piece ${pieceName(spec)} was given up`, { error });
  }

  #chainDeps(): ChainDeps {
    const { peers, clock, settings, self } = this.#deps;
    return { peers, clock, settings, self: self() };
  }
}
