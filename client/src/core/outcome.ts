/** An upload of which it is not known whether it happened. */
import { HoldfastError } from '@holdfast/shared';

const outcomeFact = 'outcome';

/** The one failure of which nobody can say whether the path shows the new version. */
export function outcomeUnknown(path: string, cause: unknown): HoldfastError {
  const known = HoldfastError.is(cause) ? cause : undefined;
  const reason = known?.message ?? String(cause);
  return new HoldfastError(
    known?.code ?? 'DEADLINE_EXCEEDED',
    `all bytes were stored, but whether ${JSON.stringify(path)} shows them could not be learnt: ${reason}`,
    {
      cause,
      remedy: 'Look at it (client stat) when the tracker answers again, and upload it again if need be.',
      facts: { path, [outcomeFact]: 'unknown' },
    },
  );
}

/** Whether `error` says that an upload may or may not have happened. */
export function isOutcomeUnknown(error: unknown): boolean {
  return HoldfastError.is(error) && error.facts[outcomeFact] === 'unknown';
}
