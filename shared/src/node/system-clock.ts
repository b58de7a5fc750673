/** The machine's clock. */
import { performance } from 'node:perf_hooks';
import type { Clock } from '../ports/clock.js';

/** setTimeout fires at once for more than this. */
const maxTimerMs = 2 ** 31 - 1;

function clampMs(durationMs: number): number {
  return Math.min(maxTimerMs, Math.max(0, durationMs));
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep(durationMs, options = {}) {
    const { signal, unref } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, clampMs(durationMs));
      if (unref) timer.unref();
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  },
  schedule(durationMs, callback) {
    const timer = setTimeout(callback, clampMs(durationMs));
    return () => clearTimeout(timer);
  },
};
