/** How many at a time (S10): past the bound the answer is LIMIT_EXCEEDED, at once, and nothing queues. */
import { HoldfastError } from '@holdfast/shared';

export class Slots {
  readonly #what: string;
  readonly #max: number;
  #taken = 0;

  /** @param what for the message, in the plural: `writes` */
  constructor(what: string, max: number) {
    this.#what = what;
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  get free(): number {
    return this.#max - this.#taken;
  }

  /**
   * Runs `work` in a slot, which it may leave before it ends.
   *
   * @throws HoldfastError LIMIT_EXCEEDED, retryable, if none is free
   */
  async run<T>(work: (leave: () => void) => Promise<T>): Promise<T> {
    if (this.free <= 0) {
      throw new HoldfastError('LIMIT_EXCEEDED', `this keeper has ${this.#max} ${this.#what} at a time`, {
        remedy: 'Use another keeper, or try again when some have ended.',
        retryable: true,
        retryAfterMs: 500,
      });
    }
    this.#taken += 1;
    let left = false;
    const leave = (): void => {
      if (!left) this.#taken -= 1;
      left = true;
    };
    try {
      return await work(leave);
    } finally {
      leave();
    }
  }
}
