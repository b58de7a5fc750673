/**
 * Gives up pieces that are one too many, slowly. Which one goes, and whether any may, is decided by surplus.ts inside
 * the transaction that writes it down: pieces and keepers may have been lost since anybody looked.
 */
import type { Clock } from '@holdfast/shared';
import type { RegressionGuard } from '../cluster/regression.js';
import { creditDrains } from '../jobs/job-rows.js';
import { recordSurplus } from '../registry/pieces.js';
import type { TaskBoard } from '../registry/task-board.js';
import type { MetadataStore } from '../store/metadata-store.js';
import type { InFlightTable } from './in-flight.js';
import { loadChunks } from './load-chunks.js';
import type { RepairChunk, RepairKeeper } from './repair-view.js';
import { chooseVictim } from './surplus.js';

/**
 * How many pieces one step may give up, and how far apart such steps are at least. A keeper that flaps leaves
 * thousands of chunks with a piece too many: they cost room and nothing else, and it may be gone again.
 */
const maxPerStep = 100;
const intervalMs = 1_000;

export interface TrimmerParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly guard: RegressionGuard;
  readonly tasks: TaskBoard;
  readonly inFlight: InFlightTable;
  /** All keepers as they are now, by id. */
  readonly keepers: () => ReadonlyMap<string, RepairKeeper>;
  readonly isSafeMode: () => boolean;
}

export class Trimmer {
  /** By chunk: the keeper that it is being moved from. In memory: without it the trimmer chooses by itself. */
  readonly moves = new Map<string, string>();
  readonly #parts: TrimmerParts;
  #trimmedMs = -Infinity;

  constructor(parts: TrimmerParts) {
    this.#parts = parts;
  }

  /** Those of the surplus chunks of a page that can lose a piece now: the others must not keep them waiting. */
  ready(page: readonly RepairChunk[], surplusChunkIds: readonly string[]): string[] {
    const keepers = this.#parts.keepers();
    const surplus = new Set(surplusChunkIds);
    return page
      .filter((chunk) => surplus.has(chunk.chunkId) && chooseVictim(chunk, keepers) !== undefined)
      .map((chunk) => chunk.chunkId);
  }

  /** One piece of each of some of the surplus chunks of a page. */
  async step(page: readonly RepairChunk[], surplusChunkIds: readonly string[]): Promise<void> {
    const { store, clock, guard, tasks, inFlight, keepers, isSafeMode } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (surplusChunkIds.length === 0 || nowMs - this.#trimmedMs < intervalMs) return;
    const chunkIds = this.ready(page, surplusChunkIds).slice(0, maxPerStep);
    if (chunkIds.length === 0) return;
    this.#trimmedMs = nowMs;
    await store.mutate(async (tx) => {
      if (guard.regressed || isSafeMode()) return;
      const now = keepers();
      const copied = new Set(inFlight.list().map((copy) => copy.chunkId));
      const given = [];
      for (const { pieces, ...chunk } of await loadChunks(tx, chunkIds)) {
        const { chunkId, lengthBytes } = chunk;
        // A copy under way may be the better one, or needs the victim as its source.
        if (copied.has(chunkId)) continue;
        const doubted = pieces.map((piece) =>
          tasks.has(piece.keeperId, 'verify', chunkId) ? { ...piece, state: 'suspect' as const } : piece,
        );
        const keeperId = chooseVictim({ ...chunk, pieces: doubted }, now, this.moves.get(chunkId));
        if (keeperId !== undefined) given.push({ chunkId, keeperId, lengthBytes });
      }
      await recordSurplus(tx, given);
      await creditDrains(tx, given);
    });
  }
}
