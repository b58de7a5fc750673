/** Identifiers: 128 random bits as 32 lower-case hexadecimal digits, never reused. */
import { HoldfastError } from '../errors/index.js';
import { limits } from '../limits.js';
import type { Random } from '../ports/random.js';

export function newId(random: Random): string {
  return random.bytes(16).toString('hex');
}

export function isId(value: string): boolean {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

/** Returns `value` if it is an id; throws INVALID_ARGUMENT naming `what` ("chunk_id") otherwise. */
export function checkId(value: string, what: string): string {
  if (isId(value)) return value;
  throw new HoldfastError('INVALID_ARGUMENT', `${what} is not 32 lower-case hexadecimal digits`);
}

export function isRequestId(value: string): boolean {
  return value.length <= limits.maxRequestIdLength && /^[\x21-\x7e]+$/.test(value);
}

/** Returns `value` if it can be a request_id; throws INVALID_ARGUMENT otherwise. */
export function checkRequestId(value: string): string {
  if (isRequestId(value)) return value;
  throw new HoldfastError(
    'INVALID_ARGUMENT',
    `request_id must be 1 to ${limits.maxRequestIdLength} printable ASCII characters without spaces`,
  );
}
