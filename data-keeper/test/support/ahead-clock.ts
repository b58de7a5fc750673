/**
 * The machine's clock, which a test sets ahead: what waits for a time that has come by then has waited. So a lease or a
 * patience may be longer than any machine stands still, and is over when the test says so.
 */
import type { Clock } from '@holdfast/shared';
import { systemClock } from '@holdfast/shared/node';

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
  cancel: () => void;
}

export class AheadClock implements Clock {
  #aheadMs = 0;
  readonly #timers = new Set<Timer>();

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs;
  }

  wallMs(): number {
    return systemClock.wallMs() + this.#aheadMs;
  }

  sleep: Clock['sleep'] = (durationMs, options) => systemClock.sleep(durationMs, options);

  schedule(durationMs: number, callback: () => void): () => void {
    const fire = (): void => {
      this.#timers.delete(timer);
      callback();
    };
    const atMs = this.monotonicMs() + durationMs;
    const timer: Timer = { atMs, fire, cancel: systemClock.schedule(durationMs, fire) };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
      timer.cancel();
    };
  }

  setAhead(durationMs: number): void {
    this.#aheadMs += durationMs;
    const nowMs = this.monotonicMs();
    for (const timer of [...this.#timers].sort((a, b) => a.atMs - b.atMs)) {
      // Taken back by one that came before it.
      if (!this.#timers.has(timer)) continue;
      timer.cancel();
      if (timer.atMs <= nowMs) timer.fire();
      else timer.cancel = systemClock.schedule(timer.atMs - nowMs, timer.fire);
    }
  }
}
