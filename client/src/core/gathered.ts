/** Items that come one at a time, put together for those who work on many at once. */
import type { Clock } from '@holdfast/shared';
import { orAborted } from './signals.js';

export interface GatherOptions {
  /** The most in one run. */
  readonly count: number;
  /** Throws for what cannot be one of the items: there they end. */
  readonly check: (item: unknown) => void;
  /** How long the first of a run waits for others: a source may itself wait for what became of what it gave. */
  readonly lingerMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Runs of `items` in their order, one item asked for ahead.
 *
 * @throws what `items` or `check` throws, after the run of what came before; CANCELLED
 */
export async function* gathered<T>(
  items: Iterable<T> | AsyncIterable<T>,
  { count, check, lingerMs, clock, signal }: GatherOptions,
): AsyncGenerator<T[], void, undefined> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const checked = async (): Promise<IteratorResult<T, unknown>> => {
    const next = await source.next();
    if (next.done !== true) check(next.value);
    return next;
  };
  const ask = (): Promise<IteratorResult<T, unknown>> => {
    const answer = orAborted(checked(), signal);
    // Taken up when its turn comes.
    answer.catch(() => undefined);
    return answer;
  };
  try {
    for (let next = ask(); ;) {
      const first = await next;
      if (first.done === true) return;
      const run = [first.value];
      next = ask();
      const over = new AbortController();
      const late = clock.sleep(lingerMs, { signal: over.signal }).catch(() => undefined);
      try {
        while (run.length < count) {
          const turn = await Promise.race([next.catch(() => undefined), late]);
          if (!turn || turn.done === true) break;
          run.push(turn.value);
          next = ask();
        }
      } finally {
        over.abort();
      }
      yield run;
    }
  } finally {
    // Not waited for: a source that hangs must not hold up those who leave it.
    void Promise.resolve(source.return?.()).catch(() => undefined);
  }
}
