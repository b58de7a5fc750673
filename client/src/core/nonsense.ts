/** What is said of an answer of the tracker that is well-formed and cannot be true. */
import { HoldfastError } from '@holdfast/shared';

/** @param call for messages: `ListEntries` */
export function nonsense(call: string, what: string): HoldfastError {
  return new HoldfastError('INTERNAL', `the tracker's answer to ${call} makes no sense: ${what}`, {
    remedy: 'Use a client of the same version as the tracker; if it is, this is a defect.',
  });
}
