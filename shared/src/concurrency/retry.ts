/**
 * Retry as data: full-jitter exponential backoff within a time budget. Only what may be repeated is repeated:
 * reads, and mutations that carry a request_id. An unknown outcome (DEADLINE_EXCEEDED, UNAVAILABLE, INTERNAL
 * from a broken connection) is such a case: it is asked again, never called a failure.
 *
 * Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
import { cancelled } from './cancellation.js';
import { HoldfastError } from '../errors/index.js';
import type { Clock } from '../ports/clock.js';
import type { Random } from '../ports/random.js';

export interface RetryPolicy {
  /** The longest first pause. */
  readonly initialBackoffMs: number;
  /** Pauses grow by `factor` up to this. */
  readonly maxBackoffMs: number;
  readonly factor: number;
  /** No attempt starts later than this after the first one. */
  readonly budgetMs: number;
}

/** A tracker that restarts is back within seconds; 60 s rides out a slow one. */
export const patientRetry: RetryPolicy = {
  initialBackoffMs: 100,
  maxBackoffMs: 2_000,
  factor: 2,
  budgetMs: 60_000,
};

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal | undefined;
  /** Decides over an error; by default `error.retryable`. */
  readonly isRetryable?: (error: HoldfastError) => boolean;
  /** Told before each pause. */
  readonly onRetry?: (error: HoldfastError, pauseMs: number) => void;
}

/** Calls `attempt` until it succeeds, fails for good, or the budget is spent; then throws the last error. */
export async function withRetry<T>(
  policy: RetryPolicy,
  options: RetryOptions,
  attempt: (attemptNumber: number) => Promise<T>,
): Promise<T> {
  const { clock, random, signal, isRetryable = (error) => error.retryable, onRetry } = options;
  const startedMs = clock.monotonicMs();
  for (let number = 1; ; number += 1) {
    try {
      return await attempt(number);
    } catch (error) {
      if (!HoldfastError.is(error) || !isRetryable(error) || signal?.aborted) throw error;
      const ceilingMs = Math.min(
        policy.maxBackoffMs,
        policy.initialBackoffMs * policy.factor ** Math.min(number - 1, 30),
      );
      const pauseMs = Math.max(error.retryAfterMs, random.fraction() * ceilingMs);
      if (clock.monotonicMs() - startedMs + pauseMs > policy.budgetMs) throw error;
      onRetry?.(error, pauseMs);
      await clock.sleep(pauseMs, { signal }).catch(() => {
        throw cancelled(signal);
      });
    }
  }
}
