/**
 * Waiting for room: a cluster that is full of deleted files makes room when it is asked for, which takes seconds, or
 * minutes where somebody still reads them. The tracker says so, and an upload waits rather than fails.
 */
import { type HoldfastError, type RetryPolicy, hasCode, withRetry } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';

/** The grace of readers, 10 minutes, and then what keepers take to delete. The tracker says when to ask again. */
const roomRetry: RetryPolicy = {
  initialBackoffMs: 500,
  maxBackoffMs: 2_000,
  factor: 2,
  budgetMs: 15 * 60_000,
};

export interface RoomOptions {
  readonly signal: AbortSignal;
  /** Told before each pause. */
  readonly onWaiting: ((reason: HoldfastError) => void) | undefined;
}

/** Calls again for as long as there is no room and the tracker says that some is on its way; 15 minutes at most. */
export function awaitingRoom<T>(
  { clock, random }: Pick<ClientContext, 'clock' | 'random'>,
  { signal, onWaiting }: RoomOptions,
  call: () => Promise<T>,
): Promise<T> {
  const isRetryable = (error: HoldfastError): boolean => hasCode(error, 'OUT_OF_SPACE') && error.retryable;
  return withRetry(
    roomRetry,
    { clock, random, signal, isRetryable, ...(onWaiting && { onRetry: onWaiting }) },
    call,
  );
}
