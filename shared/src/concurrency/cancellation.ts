/** What an aborted AbortSignal turns into. */
import { HoldfastError } from '../errors/index.js';

/** CANCELLED, or the HoldfastError that the signal was aborted with. */
export function cancelled(signal?: AbortSignal): HoldfastError {
  if (HoldfastError.is(signal?.reason)) return signal.reason;
  return new HoldfastError('CANCELLED', 'the operation was cancelled', { cause: signal?.reason });
}

/** @throws HoldfastError if `signal` is aborted */
export function throwIfCancelled(signal?: AbortSignal): void {
  if (signal?.aborted) throw cancelled(signal);
}
