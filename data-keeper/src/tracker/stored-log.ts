/**
 * Pieces that became durable and that the tracker has not acknowledged yet. While a full report runs,
 * acknowledged ones are told once more after it: the report may have passed their place before they came, and
 * the tracker would count them as lost.
 */
import { limits } from '@holdfast/shared';
import { pieceName } from '../store/piece.js';
import type { PieceSummary } from './tracker-link.js';

/** A tracker that was away for longer gets a full report anyway: what passes this is left to it. */
const maxPending = 20 * limits.maxStoredPerHeartbeat;

export class StoredLog {
  readonly #pending = new Map<string, PieceSummary>();
  readonly #again = new Map<string, PieceSummary>();
  #reporting = false;
  #overflowed = false;

  add({ chunkId, pieceIndex, lengthBytes, digest }: PieceSummary): void {
    if (this.#pending.size >= maxPending) {
      this.#overflowed = true;
      return;
    }
    this.#pending.set(pieceName({ chunkId, pieceIndex }), { chunkId, pieceIndex, lengthBytes, digest });
  }

  /** The oldest that a heartbeat may carry. */
  next(): PieceSummary[] {
    return [...this.#pending.values()].slice(0, limits.maxStoredPerHeartbeat);
  }

  acknowledge(pieces: readonly PieceSummary[]): void {
    for (const piece of pieces) {
      const name = pieceName(piece);
      this.#pending.delete(name);
      if (this.#reporting) this.#again.set(name, piece);
    }
  }

  /** Pieces of these chunks are here no more: told late, such news would have the tracker count them again. */
  forget(chunkIds: readonly string[]): void {
    const gone = new Set(chunkIds);
    for (const pieces of [this.#pending, this.#again]) {
      for (const [name, { chunkId }] of pieces) if (gone.has(chunkId)) pieces.delete(name);
    }
  }

  reportBegins(): void {
    this.#reporting = true;
    this.#overflowed = false;
  }

  /** @returns whether pieces were dropped meanwhile, so that another report is due */
  reportEnds(): boolean {
    this.#reporting = false;
    for (const [name, piece] of this.#again) this.#pending.set(name, piece);
    this.#again.clear();
    return this.#overflowed;
  }

  /** True once pieces were dropped: only a full report tells of them. */
  get overflowed(): boolean {
    return this.#overflowed;
  }
}
