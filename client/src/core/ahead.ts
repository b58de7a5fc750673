/** What is asked for before it is needed: a walk of many directories goes on while what it gave is worked on. */
import { Outbox } from './outbox.js';
import { orAborted } from './signals.js';

/**
 * The same items, some `most` of them asked for ahead.
 *
 * @throws what `items` throws, after the items before; CANCELLED
 */
export async function* ahead<T>(
  items: Iterable<T> | AsyncIterable<T>,
  most: number,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const waiting = new Outbox<T>(most);
  let isLeft = false;
  const askAll = async (): Promise<void> => {
    while (!isLeft) {
      await waiting.room(signal);
      const next = await orAborted(Promise.resolve(source.next()), signal);
      if (next.done === true) return;
      waiting.put(next.value);
    }
  };
  askAll().then(
    () => waiting.end(),
    (error: unknown) => waiting.end({ error }),
  );
  try {
    yield* waiting.items();
  } finally {
    isLeft = true;
    // Not waited for: a source that hangs must not hold up those who leave it.
    void Promise.resolve(source.return?.()).catch(() => undefined);
  }
}
