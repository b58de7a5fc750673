/**
 * Pieces that this keeper found bad: damaged and set aside, or unreadable and left where they are. The tracker is
 * told of each until it has answered. One that was left in place is remembered for as long as it is there and bad: a
 * look at its name would count it as a copy again.
 */
import { HoldfastError, type ErrorCode, limits } from '@holdfast/shared';
import { type PieceKey, pieceName } from '../store/piece.js';
import type { BadPiece } from '../tracker/tracker-link.js';

/** As it is kept over restarts. */
export interface BadPieceRecord extends PieceKey {
  readonly code: ErrorCode;
  readonly message: string;
  readonly inPlace: boolean;
  readonly told: boolean;
}

interface Entry extends BadPiece {
  readonly inPlace: boolean;
  readonly told: boolean;
}

/** A disk with more unreadable pieces than this is to be replaced; those told of first are forgotten. */
const maxRemembered = 2 * limits.maxBadPiecesPerHeartbeat;

export class BadPieceLog {
  readonly #entries = new Map<string, Entry>();

  /** @param inPlace whether the piece is still under its name */
  add(key: PieceKey, error: HoldfastError, inPlace: boolean): void {
    const { chunkId, pieceIndex } = key;
    this.#entries.delete(pieceName(key));
    this.#entries.set(pieceName(key), { chunkId, pieceIndex, error, inPlace, told: false });
    for (const [name, entry] of this.#entries) {
      if (this.#entries.size <= maxRemembered) return;
      if (entry.told) this.#entries.delete(name);
    }
  }

  /** The piece is good: it was read, or stored anew. True if it was not thought so. */
  forget(key: PieceKey): boolean {
    return this.#entries.delete(pieceName(key));
  }

  has(key: PieceKey): boolean {
    return this.#entries.has(pieceName(key));
  }

  /** True while the tracker has as many to take as one heartbeat carries: no more should be looked for. */
  get isFull(): boolean {
    return this.#untold().length >= limits.maxBadPiecesPerHeartbeat;
  }

  /** The oldest that a heartbeat may carry. */
  next(): BadPiece[] {
    return this.#untold().slice(0, limits.maxBadPiecesPerHeartbeat);
  }

  acknowledge(pieces: readonly BadPiece[]): void {
    for (const piece of pieces) {
      const name = pieceName(piece);
      const entry = this.#entries.get(name);
      // Found bad again, or good, meanwhile.
      if (entry?.error !== piece.error) continue;
      if (entry.inPlace) this.#entries.set(name, { ...entry, told: true });
      else this.#entries.delete(name);
    }
  }

  toRecords(): BadPieceRecord[] {
    return [...this.#entries.values()].map(({ chunkId, pieceIndex, error, inPlace, told }) => ({
      ...{ chunkId, pieceIndex, code: error.code, message: error.message, inPlace, told },
    }));
  }

  /** Takes up what an earlier start found. */
  restore(records: readonly BadPieceRecord[]): void {
    for (const { chunkId, pieceIndex, code, message, inPlace, told } of records) {
      const error = new HoldfastError(code, message);
      this.#entries.set(pieceName({ chunkId, pieceIndex }), { chunkId, pieceIndex, error, inPlace, told });
    }
  }

  #untold(): Entry[] {
    return [...this.#entries.values()].filter(({ told }) => !told);
  }
}
