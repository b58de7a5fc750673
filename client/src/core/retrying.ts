/**
 * How the client repeats calls to the tracker. Reads may be repeated; mutations carry a request_id, so a call
 * whose outcome is unknown is asked again and never called a failure. A tracker that is restarted is back well
 * within the budget, and nobody above notices.
 */
import { type HoldfastError, type RetryPolicy, newId, patientRetry, withRetry } from '@holdfast/shared';
import type { ClientContext } from './context.js';

/** INTERNAL may hide an outcome, but a defect does not heal: a few times are enough to learn it. */
const maxInternalRepeats = 2;

type Tools = Pick<ClientContext, 'clock' | 'random'>;

/** Whether the tracker may be asked the same again after an error; remembers how often it said yes. */
export function repeatable(): (error: HoldfastError) => boolean {
  let internalsLeft = maxInternalRepeats;
  return ({ code, retryable }) => {
    // With room or keepers missing, whoever asked decides how long to hope.
    if (code === 'NOT_ENOUGH_KEEPERS' || code === 'OUT_OF_SPACE') return false;
    if (code === 'INTERNAL') return internalsLeft-- > 0;
    return retryable || code === 'CANCELLED';
  };
}

/** Asks until there is an answer, an error that counts, or 60 s have passed. */
export function asking<T>(
  tools: Tools,
  signal: AbortSignal | undefined,
  call: () => Promise<T>,
  policy: RetryPolicy = patientRetry,
): Promise<T> {
  return withRetry(policy, { ...tools, signal, isRetryable: repeatable() }, call);
}

/** The same for a mutation: every attempt carries the one request_id that this makes. */
export function mutating<T>(
  tools: Tools,
  signal: AbortSignal | undefined,
  call: (requestId: string) => Promise<T>,
): Promise<T> {
  const requestId = newId(tools.random);
  return asking(tools, signal, () => call(requestId));
}
