/** What became of something that a client asked for. */
import { type HoldfastError, hasCode } from '@holdfast/client';
import { Violation } from './violation.js';

export type Outcome = 'ok' | 'failed' | 'unknown';

/** After this no request of before is on its way any more, whatever froze or came twice. */
export const afterUnknownMs = 60_000;

/** Refusals that say that nothing was done. */
const refusals = [
  ...(['NOT_FOUND', 'ALREADY_EXISTS', 'NOT_EMPTY', 'NOT_A_DIRECTORY', 'IS_A_DIRECTORY'] as const),
  ...(['VERSION_CONFLICT', 'OUT_OF_SPACE', 'NOT_ENOUGH_KEEPERS', 'LIMIT_EXCEEDED'] as const),
];

/** @throws Violation for an error that no client may ever see */
export function outcomeOf(what: string, error: HoldfastError): Exclude<Outcome, 'ok'> {
  if (error.code === 'INTERNAL' || error.code === 'DATA_LOSS') {
    throw new Violation(`${what} ended with ${error.code}: ${error.message}`);
  }
  return hasCode(error, ...refusals) && error.facts['outcome'] !== 'unknown' ? 'failed' : 'unknown';
}

/**
 * After these every copy within reach of a reader may honestly be bad for a while: those of one keeper are damaged or
 * gone, and the others away; or disks do not let themselves be read. After all others a copy that is away makes a read
 * wait or fail, and never says that anything is lost.
 */
export const losingFaults: readonly string[] = [
  'flip bits',
  'misdirect writes',
  'replace a disk',
  'fail reads',
];

/** @throws Violation for an error that nobody who reads may see, which is DATA_LOSS where nothing can have been lost */
export function checkReadError(what: string, error: HoldfastError, mayBeLost: boolean): void {
  if (error.code === 'INTERNAL' || (error.code === 'DATA_LOSS' && !mayBeLost)) {
    throw new Violation(`${what} ended with ${error.code}: ${error.message}`);
  }
}
