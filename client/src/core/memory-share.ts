/**
 * One transfer's part of the memory that all transfers share. The failure it answers: a stream whose consumer
 * (or producer) stands still holds memory for as long; if others waited for that memory, reading two streams
 * one after the other could wait for ever.
 *
 * Promise: a transfer that holds nothing is served at once, whatever others hold; it waits for more only until
 * the budget has room or all that it held itself has come back. So memory is bounded by the budget plus one
 * piece a transfer, and no transfer ever waits for another alone.
 */
import { type ByteBudget, throwIfCancelled } from '@holdfast/shared';
import { firstOf } from './signals.js';

export class MemoryShare {
  readonly #budget: ByteBudget;
  #holding = 0;
  /** Set while a `take` waits: all that this transfer held has come back. */
  #onIdle: (() => void) | undefined;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /**
   * Takes `bytes`; the result gives them back and may be called more than once. One call at a time.
   *
   * @throws HoldfastError CANCELLED when `signal` is aborted first
   */
  async take(bytes: number, signal?: AbortSignal): Promise<() => void> {
    throwIfCancelled(signal);
    if (this.#holding === 0) return this.#hold(() => undefined);
    const idle = new AbortController();
    this.#onIdle = () => idle.abort();
    try {
      const either = firstOf(signal, idle.signal);
      return this.#hold(await this.#budget.take(bytes, either));
    } catch (error) {
      throwIfCancelled(signal);
      if (idle.signal.aborted) return this.#hold(() => undefined);
      throw error;
    } finally {
      this.#onIdle = undefined;
    }
  }

  #hold(giveBack: () => void): () => void {
    this.#holding += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holding -= 1;
      giveBack();
      if (this.#holding === 0) this.#onIdle?.();
    };
  }
}
