/** A clock that moves when a test says so. */
import type { Clock } from '@holdfast/shared';

export class ManualClock implements Clock {
  #nowMs = 1_000;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_750_000_000_000 + this.#nowMs;
  }

  sleep(durationMs: number): Promise<void> {
    // A turn for others, not a time.
    if (durationMs === 0) return new Promise((resolve) => setImmediate(resolve));
    return new Promise((resolve) => this.schedule(durationMs, resolve));
  }

  schedule(durationMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + durationMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(durationMs: number): void {
    this.#nowMs += durationMs;
    for (const timer of [...this.#timers]) {
      if (timer.atMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      timer.callback();
    }
  }
}
