/** What transfers that can be gone on with have in common: what is said of them, and which failures they outlive. */
import { hasCode } from '@holdfast/shared';
import { isOutcomeUnknown } from './outcome.js';

/** Told about the transfer of the file at the remote `path`, which may be gone on with later. Sizes are in bytes. */
export type ResumeNotice = { readonly path: string } & ResumeState;

export type ResumeState =
  | {
      /**
       * It goes on where an earlier one was (of a download, what is there is still to be verified), or ends and what is
       * there is kept for the next one.
       */
      readonly kind: 'resumed' | 'kept';
      readonly storedBytes: number;
      readonly totalBytes: number;
    }
  /** It begins anew: the file is not what it was, the session is over, or another process is at it. */
  | { readonly kind: 'source-changed' | 'session-over' | 'in-use' }
  /** It goes without: there is no place to write to. */
  | { readonly kind: 'not-recorded'; readonly reason: string };

/** Whether the same transfer may succeed later. Of what is refused, or has no room, nothing is kept. */
export function isWorthKeeping(error: unknown, signal: AbortSignal | undefined): boolean {
  if (signal?.aborted === true || isOutcomeUnknown(error)) return true;
  return hasCode(
    error,
    ...(['CANCELLED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'NOT_ENOUGH_KEEPERS', 'DATA_LOSS'] as const),
  );
}
