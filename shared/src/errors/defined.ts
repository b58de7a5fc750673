/** For values that are there by construction: says what was wrong about the construction if they are not. */
import { HoldfastError } from './holdfast-error.js';

/**
 * `value`, which must not be undefined.
 *
 * @param what the value, for the message: "the keeper of a planned copy"
 * @throws HoldfastError INTERNAL
 */
export function defined<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new HoldfastError('INTERNAL', `${what} is missing`);
  return value;
}
