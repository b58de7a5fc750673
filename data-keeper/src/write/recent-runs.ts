/**
 * The last runs of a piece that is being written, as they came, for the follower: one that keeps up gets them
 * from memory, and what it has taken is forgotten. One that is slow reads the file instead, and costs nothing
 * but disk reads. So the chain's bytes are copied nowhere on the way from one socket to the next.
 */
import type { ByteBudget } from '@holdfast/shared';
import type { BlockRun } from '../store/piece.js';

/** Of one piece: what arrives while a follower's socket takes a breath. */
const maxBytesPerPiece = 4 * 1024 * 1024;

interface Kept {
  readonly run: BlockRun;
  readonly release: () => void;
}

export class RecentRuns {
  readonly #budget: ByteBudget;
  /** In the order of the piece. */
  #kept: Kept[] = [];
  #bytes = 0;

  /** @param budget shared by all pieces; a run that finds no room in it is not kept */
  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  add(run: BlockRun): void {
    while (this.#bytes + run.data.length > maxBytesPerPiece && this.#kept.length > 0) this.#dropFirst();
    const release = this.#budget.tryTake(run.data.length);
    if (!release) return;
    this.#kept.push({ run, release });
    this.#bytes += run.data.length;
  }

  /** The run that starts at `offsetBytes`, if it is kept. What lies before it is let go. */
  take(offsetBytes: number): BlockRun | undefined {
    while ((this.#kept[0]?.run.offsetBytes ?? Infinity) < offsetBytes) this.#dropFirst();
    const first = this.#kept[0]?.run;
    return first?.offsetBytes === offsetBytes ? first : undefined;
  }

  /** Where the kept runs begin; Infinity if there are none. */
  get startBytes(): number {
    return this.#kept[0]?.run.offsetBytes ?? Infinity;
  }

  clear(): void {
    while (this.#kept.length > 0) this.#dropFirst();
  }

  #dropFirst(): void {
    const first = this.#kept.shift();
    if (!first) return;
    this.#bytes -= first.run.data.length;
    first.release();
  }
}
