/** Waiting for somebody else, and not for ever: a peer that does nothing for too long counts as gone. */
import { type Clock, HoldfastError, cancelled } from '@holdfast/shared';

export interface StallOptions {
  readonly clock: Clock;
  readonly stallMs: number;
  readonly signal: AbortSignal;
  /** For the message: `the client sent nothing`. */
  readonly what: string;
}

/**
 * Settles as `pending` does, or rejects when it takes too long or is cancelled.
 *
 * @throws HoldfastError DEADLINE_EXCEEDED after stallMs, CANCELLED on abort
 */
export function orStall<T>(pending: Promise<T>, options: StallOptions): Promise<T> {
  const { clock, stallMs, signal, what } = options;
  if (signal.aborted) {
    pending.catch(() => undefined);
    return Promise.reject(cancelled(signal));
  }
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => settle(() => reject(cancelled(signal)));
    const cancelTimer = clock.schedule(stallMs, () => {
      settle(() => reject(new HoldfastError('DEADLINE_EXCEEDED', `${what} for ${stallMs} ms`)));
    });
    const settle = (then: () => void): void => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
      then();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    pending.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : new Error(String(error)))),
    );
  });
}

/** The items of `source`, none of which may take longer than stallMs to come. */
export async function* withoutStalls<T>(source: AsyncIterable<T>, options: StallOptions): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await orStall(iterator.next(), options);
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    // Not waited for: behind a source that stalls, this would stall too.
    iterator.return?.().catch(() => undefined);
  }
}
