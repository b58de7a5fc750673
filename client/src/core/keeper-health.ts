/**
 * Which keepers failed this client a moment ago. The tracker needs seconds to see that a keeper is gone; without
 * this memory every chunk would wait for the same dead keeper anew.
 */
import type { Clock } from '@holdfast/shared';

/**
 * How long a failure is held against a keeper. The tracker suspects a silent keeper after 5 s and then leaves it
 * out itself; much longer, and one that was restarted would idle.
 */
const memoryMs = 10_000;

export class KeeperHealth {
  readonly #clock: Clock;
  readonly #failedAtMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  noteFailure(keeperId: string): void {
    this.#failedAtMs.set(keeperId, this.#clock.monotonicMs());
  }

  noteSuccess(keeperId: string): void {
    this.#failedAtMs.delete(keeperId);
  }

  /** The keepers that failed within the last seconds. */
  recentlyFailed(): Set<string> {
    const nowMs = this.#clock.monotonicMs();
    for (const [keeperId, failedAtMs] of this.#failedAtMs) {
      if (nowMs - failedAtMs > memoryMs) this.#failedAtMs.delete(keeperId);
    }
    return new Set(this.#failedAtMs.keys());
  }
}
