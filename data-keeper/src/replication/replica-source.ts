/**
 * Serving pieces to other keepers: stored ones from the first block to the last, and ones that are still being
 * written as they grow. The footer goes out only when every byte is received and verified here; when the write is
 * given up the follower hears that instead, and discards.
 */
import type { Clock } from '@holdfast/shared';
import { Pump, type PumpMemory } from '../read/pump.js';
import type { KeeperSettings } from '../settings.js';
import type { ChunkStore } from '../store/chunk-store.js';
import type { BlockRun, PieceKey, PieceSpec } from '../store/piece.js';
import type { TokenGate } from '../tracker/token-gate.js';
import type { LivePiece, LivePieces } from '../write/live-piece.js';
import type { Slots } from '../write/slots.js';
import { type StallOptions, orStall } from '../write/stall.js';

export interface ReplicaSourceDeps {
  readonly store: ChunkStore;
  readonly live: LivePieces;
  /** For chains, which follow pieces that are being written. */
  readonly slots: Slots;
  readonly pumpMemory: PumpMemory;
  /** For copies of pieces that are stored: however many there are, chains go on. */
  readonly copySlots: Slots;
  readonly tokens: TokenGate;
  readonly clock: Clock;
  readonly settings: KeeperSettings;
}

export interface ReplicaRequest extends PieceKey {
  readonly token: Buffer;
  /** Who follows. */
  readonly keeperId: string;
}

/** Takes a piece's parts in order; each call resolves when there is room for more. */
export interface ReplicaSink {
  header(spec: PieceSpec): Promise<void>;
  blocks(run: BlockRun): Promise<void>;
  footer(digest: Buffer): Promise<void>;
}

export class ReplicaSource {
  readonly #deps: ReplicaSourceDeps;

  constructor(deps: ReplicaSourceDeps) {
    this.#deps = deps;
  }

  /** @throws HoldfastError those of TokenGate.check, ChunkStore.open and LivePiece.waitPast; LIMIT_EXCEEDED */
  stream(request: ReplicaRequest, sink: ReplicaSink, signal: AbortSignal): Promise<void> {
    const { tokens, slots, copySlots, live, clock, settings } = this.#deps;
    tokens.check(request.token, { operations: ['write', 'read'], chunkId: request.chunkId });
    const stall: StallOptions = {
      clock,
      stallMs: settings.clientStallMs,
      signal,
      what: 'the follower took nothing',
    };
    const writing = live.get(request);
    return writing
      ? slots.run(() => this.#followLive(writing, request.keeperId, sink, stall))
      : copySlots.run(() => this.#sendStored(request, sink, stall));
  }

  async #sendStored(key: PieceKey, sink: ReplicaSink, stall: StallOptions): Promise<void> {
    const reader = await this.#deps.store.open(key);
    try {
      const { spec } = reader;
      await orStall(sink.header(spec), stall);
      const send = (run: BlockRun): Promise<void> => orStall(sink.blocks(run), stall);
      await new Pump(reader, send, this.#deps.pumpMemory).run(0, spec.lengthBytes);
      await orStall(sink.footer(spec.digest), stall);
    } finally {
      await reader.close();
    }
  }

  async #followLive(
    live: LivePiece,
    keeperId: string,
    sink: ReplicaSink,
    stall: StallOptions,
  ): Promise<void> {
    const reader = live.follow();
    const send = async (run: BlockRun): Promise<void> => {
      await orStall(sink.blocks(run), stall);
      live.progressed(keeperId, run.data.length);
    };
    const pump = new Pump(reader, send, this.#deps.pumpMemory);
    try {
      await orStall(sink.header(live.spec), stall);
      live.progressed(keeperId, 0);
      let offset = 0;
      while (offset < live.spec.lengthBytes) {
        await live.waitPast(offset, stall.signal);
        const next = live.next(offset);
        if ('data' in next) {
          await send(next);
          offset += next.data.length;
        } else {
          await pump.run(offset, next.endBytes);
          offset = next.endBytes;
        }
      }
      // All bytes are here, but whether they are the right ones in all is known only with the digest.
      while (!live.digest) await live.waitPast(offset, stall.signal);
      await orStall(sink.footer(live.digest), stall);
      live.progressed(keeperId, 0, true);
    } finally {
      await reader.close();
    }
  }
}
