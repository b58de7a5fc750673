/**
 * Serving stored pieces to clients. Every block is verified between the disk and the wire, so a client gets the
 * right bytes or CHECKSUM_MISMATCH; nothing is deleted here for that: the client tells the tracker, which has
 * the piece verified.
 */
import { type Clock, HoldfastError, type Logger, hasCode } from '@holdfast/shared';
import type { KeeperSettings } from '../settings.js';
import type { ChunkStore } from '../store/chunk-store.js';
import { noSuchPiece } from '../store/piece-reader.js';
import { type BlockRun, type PieceKey, type StoredPiece, pieceName } from '../store/piece.js';
import type { TokenGate } from '../tracker/token-gate.js';
import type { LivePieces } from '../write/live-piece.js';
import type { Slots } from '../write/slots.js';
import { orStall } from '../write/stall.js';
import { Pump, type PumpMemory } from './pump.js';

export interface ChunkReaderDeps {
  readonly store: ChunkStore;
  readonly live: LivePieces;
  readonly slots: Slots;
  readonly pumpMemory: PumpMemory;
  readonly tokens: TokenGate;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: KeeperSettings;
}

export interface ReadRequest extends PieceKey {
  readonly offsetBytes: number;
  /** 0: to the end. */
  readonly lengthBytes: number;
  readonly readToken: Buffer;
}

/** Takes a piece's parts in order; each call resolves when there is room for more. */
export interface ReadSink {
  header(piece: StoredPiece): Promise<void>;
  blocks(run: BlockRun): Promise<void>;
}

export interface PieceStatus {
  readonly lengthBytes: number;
  readonly blockSizeBytes: number;
  /** undefined while the piece is being written. */
  readonly digest: Buffer | undefined;
}

export class ChunkReader {
  readonly #deps: ChunkReaderDeps;

  constructor(deps: ChunkReaderDeps) {
    this.#deps = deps;
  }

  /**
   * Sends the header and the blocks that cover the range.
   *
   * @throws HoldfastError those of TokenGate.check and ChunkStore.open; LIMIT_EXCEEDED; INVALID_ARGUMENT for a
   *   range outside the piece; DEADLINE_EXCEEDED for a client that takes nothing
   */
  read(request: ReadRequest, sink: ReadSink, signal: AbortSignal): Promise<void> {
    const { store, slots, pumpMemory, tokens, clock, settings, logger } = this.#deps;
    tokens.check(request.readToken, { operations: ['read'], chunkId: request.chunkId });
    const stall = { clock, stallMs: settings.clientStallMs, signal, what: 'the client took nothing' };
    return slots.run(async () => {
      const reader = await store.open(request);
      try {
        const { start, end } = coveringRange(reader.spec, request);
        await orStall(sink.header(reader.spec), stall);
        const send = (run: BlockRun): Promise<void> => orStall(sink.blocks(run), stall);
        await new Pump(reader, send, pumpMemory).run(start, end);
      } catch (error) {
        if (hasCode(error, 'CHECKSUM_MISMATCH')) {
          logger.error(`piece ${pieceName(request)} is damaged`, { error });
        }
        throw error;
      } finally {
        await reader.close();
      }
    });
  }

  /** @throws HoldfastError those of TokenGate.check and ChunkStore.open */
  async stat(key: PieceKey, readToken: Buffer): Promise<PieceStatus> {
    this.#deps.tokens.check(readToken, { operations: ['read'], chunkId: key.chunkId });
    const writing = this.#deps.live.get(key);
    // Asked second: what stops being written in between is stored by then.
    const stored = await this.#deps.store.stat(key);
    if (stored) return stored;
    if (writing) return { ...writing.spec, digest: undefined };
    throw noSuchPiece(key);
  }
}

/** The whole blocks that cover the range, cut at the piece's end. */
function coveringRange(piece: StoredPiece, request: ReadRequest): { start: number; end: number } {
  const { offsetBytes, lengthBytes } = request;
  if (offsetBytes >= piece.lengthBytes) {
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `offset ${offsetBytes} is past the piece's end at ${piece.lengthBytes}`,
    );
  }
  const wantedEnd = lengthBytes === 0 ? piece.lengthBytes : offsetBytes + lengthBytes;
  const block = piece.blockSizeBytes;
  return {
    start: Math.floor(offsetBytes / block) * block,
    end: Math.min(Math.ceil(wantedEnd / block) * block, piece.lengthBytes),
  };
}
