/**
 * A budget of bytes that many holders share: the answer to "how much can be in memory at once?" (S10). First
 * come, first served, so that a large request is not starved by small ones.
 */
import { cancelled } from './cancellation.js';

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

export class ByteBudget {
  readonly totalBytes: number;
  #usedBytes = 0;
  readonly #waiters: Waiter[] = [];

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Takes `bytes` if they are free now and nobody waits; the result gives them back, once. */
  tryTake(bytes: number): (() => void) | undefined {
    if (this.#waiters.length > 0 || !this.#fits(bytes)) return undefined;
    return this.#grant(bytes);
  }

  /**
   * Takes `bytes`, waiting for them if need be; a request larger than the whole budget waits for all of it.
   * The result gives them back and may be called more than once.
   *
   * @throws HoldfastError CANCELLED when `signal` is aborted first
   */
  async take(bytes: number, signal?: AbortSignal): Promise<() => void> {
    if (signal?.aborted) throw cancelled(signal);
    const immediate = this.tryTake(bytes);
    if (immediate) return immediate;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(cancelled(signal));
        // The one that gave up may have been all that held the next one back.
        this.#wake();
      };
      const waiter: Waiter = {
        bytes,
        grant: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve(this.#grant(bytes));
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.totalBytes;
  }

  #grant(bytes: number): () => void {
    this.#usedBytes += bytes;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#usedBytes -= bytes;
      this.#wake();
    };
  }

  #wake(): void {
    for (let next = this.#waiters[0]; next && this.#fits(next.bytes); next = this.#waiters[0]) {
      this.#waiters.shift();
      next.grant();
    }
  }
}
