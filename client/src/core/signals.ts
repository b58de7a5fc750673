/** Signals that many calls listen to at once. */
import { setMaxListeners } from 'node:events';
import { cancelled, throwIfCancelled } from '@holdfast/shared';
import { checkOptions } from './check-options.js';

/**
 * What each signal was made of. Node 20 keeps only weak references to them, and an AbortSignal.timeout that nobody else
 * has would be collected and never come.
 */
const sources = new WeakMap<AbortSignal, readonly AbortSignal[]>();

/**
 * A signal that is aborted with the first of `signals`. Every chunk on its way listens to it: more than the ten
 * listeners that Node takes for a leak.
 */
export function firstOf(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  const those = signals.filter((signal) => signal !== undefined);
  const first = AbortSignal.any(those);
  sources.set(first, those);
  setMaxListeners(0, first);
  return first;
}

/**
 * The caller's options, checked, with a signal that any number of calls may listen to: the caller may share one over
 * many.
 *
 * @throws HoldfastError INVALID_ARGUMENT
 */
export function heard<T extends { readonly signal?: AbortSignal | undefined }>(options: T): T {
  checkOptions(options);
  return options.signal === undefined ? options : { ...options, signal: firstOf(options.signal) };
}

/**
 * What `work` comes to, or the abort: for work that does not hear of it, such as opening a pipe that nobody
 * writes to. It goes on then, and what it comes to is lost.
 */
export async function orAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(cancelled(signal));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    const first = Promise.race([work, aborted]);
    // Nobody waits for it if the abort came before: what becomes of the work is then nobody's surprise.
    first.catch(() => undefined);
    throwIfCancelled(signal);
    return await first;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
