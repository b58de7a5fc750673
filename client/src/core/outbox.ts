/**
 * What work gives out while it goes on, for one who takes it in his own time. The failure it answers: results that
 * pile up because nobody takes them; whoever makes them waits for `room` before he begins anew.
 */
import { orAborted } from './signals.js';

export class Outbox<T> {
  readonly #most: number;
  #waiting: T[] = [];
  #end: { readonly error?: unknown } | undefined;
  #onItem = (): void => undefined;
  #onRoom = (): void => undefined;

  /** @param most how many may wait to be taken before there is no room; those that are on their way come on top */
  constructor(most: number) {
    this.#most = most;
  }

  put(item: T): void {
    this.#waiting.push(item);
    this.#onItem();
  }

  /** No more will come. The taker is told the error, if there is one, after all that was put. */
  end(end: { readonly error?: unknown } = {}): void {
    this.#end ??= end;
    this.#onItem();
  }

  /** Resolves when fewer than `most` wait. For one caller at a time. @throws HoldfastError CANCELLED */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#waiting.length >= this.#most) {
      const taken = new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
      await orAborted(taken, signal);
    }
  }

  /** All that was and will be put, for one taker. */
  async *items(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const items = this.#waiting;
      this.#waiting = [];
      if (items.length > 0) {
        // Room only when they are taken: until then they are as many.
        yield* items;
        this.#onRoom();
      } else if (this.#end) {
        if ('error' in this.#end) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#onItem = resolve;
        });
      }
    }
  }
}
