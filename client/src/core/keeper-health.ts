/**
 * Which keepers failed this client a moment ago. The tracker needs seconds to see that a keeper is gone; without
 * this memory every chunk would wait for the same dead keeper anew.
 */
import type { Clock } from '@holdfast/shared';
import { FirstByteTimes, HedgeBudget } from './hedging.js';

/**
 * How long a failure is held against a keeper. The tracker suspects a silent keeper after 5 s and then leaves it
 * out itself; much longer, and one that was restarted would idle.
 */
const memoryMs = 10_000;
/** One read is late by chance; the next one at the same keeper rarely. */
const lateReadsUntilSlow = 2;

interface Lateness {
  readonly reads: number;
  readonly atMs: number;
}

export class KeeperHealth {
  readonly #clock: Clock;
  readonly #failedAtMs = new Map<string, number>();
  readonly #late = new Map<string, Lateness>();
  /** How long keepers took to answer reads. */
  readonly firstBytes = new FirstByteTimes();
  /** What there is for hedged reads. */
  readonly hedges = new HedgeBudget();

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

  /** A read had no first byte in the time in which others nearly always have one. */
  noteLate(keeperId: string): void {
    const reads = (this.#late.get(keeperId)?.reads ?? 0) + 1;
    this.#late.set(keeperId, { reads, atMs: this.#clock.monotonicMs() });
  }

  /** A read had its first byte in time. */
  notePrompt(keeperId: string): void {
    this.#late.delete(keeperId);
  }

  /**
   * Whether the keeper was late again and again within the last seconds. Later it is asked again, and one read that
   * is late is enough then.
   */
  isSlow(keeperId: string): boolean {
    const late = this.#late.get(keeperId);
    if (!late || late.reads < lateReadsUntilSlow) return false;
    return this.#clock.monotonicMs() - late.atMs <= memoryMs;
  }
}
