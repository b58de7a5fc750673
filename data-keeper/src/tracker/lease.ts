/**
 * How long the keeper counts as alive, and so may take writes. Counted from the sending of the request that
 * renewed it, so that the keeper stops before the tracker gives up on it. A keeper past its lease still serves
 * reads: pieces are immutable, so old ones are as right as new ones.
 */
import { type Clock, HoldfastError } from '@holdfast/shared';

export class Lease {
  readonly #clock: Clock;
  #untilMs = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  renew(sentMs: number, leaseMs: number): void {
    this.#untilMs = Math.max(this.#untilMs, sentMs + leaseMs);
  }

  /** @throws HoldfastError UNAVAILABLE past the lease */
  check(): void {
    if (this.#clock.monotonicMs() <= this.#untilMs) return;
    throw new HoldfastError(
      'UNAVAILABLE',
      'this keeper has lost touch with the tracker and takes no writes',
      {
        remedy: 'Write to another keeper; check the network between this one and the tracker.',
        retryAfterMs: 1_000,
      },
    );
  }
}
