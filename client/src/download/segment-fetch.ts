/**
 * A segment that is being fetched, whether or not somebody takes its bytes yet. It never waits for whoever takes
 * them: a keeper must not be held up, and then blamed, by a reader that rests. So it has at most the segment in
 * memory, and less where the reader keeps up.
 */
import type { Bytes } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { type ChunkRange, coversChunk, readRange } from './range-reader.js';

export class SegmentFetch {
  /** Verified and not taken yet, in order. */
  #waiting: Bytes[] = [];
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #wake = (): void => undefined;

  /** Begins at once; `signal` ends it. */
  constructor(context: ClientContext, range: ChunkRange, signal: AbortSignal) {
    // These may have to be taken back as a whole.
    const provisional = coversChunk(range);
    let verified: Bytes[] = [];
    const take = async (data: Bytes, chunkOffset: number): Promise<void> => {
      if (chunkOffset === range.start) verified = [];
      verified.push(data);
      if (!provisional) this.#give(verified.splice(0));
    };
    readRange(context, range, take, signal)
      .then(() => this.#give(verified))
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#ended = true;
        this.#wake();
      });
  }

  #give(bytes: readonly Bytes[]): void {
    this.#waiting.push(...bytes);
    this.#wake();
  }

  /**
   * The segment's bytes in order, for one who takes them.
   *
   * @throws HoldfastError as readRange, after the bytes that came before
   */
  async *bytes(): AsyncGenerator<Bytes, void, undefined> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) {
        yield next;
      } else if (this.#ended) {
        if (this.#failure) throw this.#failure.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
