/**
 * A clock that jumps to its next timer whenever the program has nothing else to do. Timeouts of half a minute
 * then cost nothing, and no test sleeps. Only for tests whose work is all in memory.
 */
import type { Clock } from '@holdfast/shared';

interface Timer {
  readonly atMs: number;
  readonly fire: () => void;
}

export class AutoClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<Timer>();
  #pumping = false;

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  sleep(durationMs: number, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const cancel = this.schedule(durationMs, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  schedule(durationMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, durationMs), fire: callback };
    this.#timers.add(timer);
    if (!this.#pumping) this.#pump();
    return () => this.#timers.delete(timer);
  }

  #pump(): void {
    this.#pumping = true;
    // Twice: what one immediate started may have its own to finish before time moves.
    setImmediate(() =>
      setImmediate(() => {
        const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs);
        this.#pumping = false;
        if (!next) return;
        this.#timers.delete(next);
        this.#nowMs = Math.max(this.#nowMs, next.atMs);
        next.fire();
        if (this.#timers.size > 0) this.#pump();
      }),
    );
  }
}
