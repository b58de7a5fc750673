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
    throw new Violation(`${what} ended with ${String(error)}`);
  }
  return hasCode(error, ...refusals) && error.facts['outcome'] !== 'unknown' ? 'failed' : 'unknown';
}
