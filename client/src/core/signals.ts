/** Signals that many calls listen to at once. */
import { setMaxListeners } from 'node:events';

/**
 * A signal that is aborted with the first of `signals`. Every chunk on its way listens to it: more than the ten
 * listeners that Node takes for a leak.
 */
export function firstOf(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  const first = AbortSignal.any(signals.filter((signal) => signal !== undefined));
  setMaxListeners(0, first);
  return first;
}
