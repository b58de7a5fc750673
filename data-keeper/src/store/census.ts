/**
 * How many pieces are in each shard, and how many bytes: counted at the start and kept up with since. It tells a scrub
 * how much there is to do, and shows when pieces went that nobody here has moved.
 */
import type { Census as Count } from './chunk-store.js';
import { shards } from './data-directory.js';

export class Census {
  readonly #counts = shards.map(() => ({ pieces: 0, bytes: 0 }));

  /** A piece came (1) or went (-1). */
  count(chunkId: string, by: 1 | -1, fileBytes: number): void {
    const count = this.#counts[Number.parseInt(chunkId.slice(0, 2), 16)];
    if (!count) return;
    count.pieces += by;
    count.bytes += by * fileBytes;
  }

  of(shard: number): Count {
    return { ...(this.#counts[shard] ?? { pieces: 0, bytes: 0 }) };
  }

  /** What is really there. */
  correct(shard: number, count: Count): void {
    this.#counts[shard] = { ...count };
  }

  from(shard: number): Count {
    const later = this.#counts.slice(shard);
    return {
      pieces: later.reduce((sum, { pieces }) => sum + Math.max(0, pieces), 0),
      bytes: later.reduce((sum, { bytes }) => sum + Math.max(0, bytes), 0),
    };
  }
}
