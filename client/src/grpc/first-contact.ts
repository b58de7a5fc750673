/**
 * The first word with a tracker. Later calls ride out a restart for a minute; a first one must not, because then
 * the usual cause is a wrong address or a cluster that was never started, and a person is waiting.
 */
import { type Clock, HoldfastError, type Random, hasCode, withRetry } from '@holdfast/shared';
import type { TrackerApi } from '../ports/tracker-api.js';

/** A tracker that is just starting is forgiven; together with the calls this stays under 2 s. */
const startingRetry = { initialBackoffMs: 100, maxBackoffMs: 400, factor: 2, budgetMs: 1_000 };
/** A peer that accepts and never speaks. Below the 10 s that callers are promised, for any number of retries. */
const silentPeerMs = 5_000;

/** How to start a cluster, as a remedy. */
const startOne =
  'Start a cluster with `npm start`, or name the one you mean (--tracker HOST:PORT; in the library tracker).';

/**
 * Asks a tracker for the root directory, which always exists.
 *
 * @throws HoldfastError UNAVAILABLE if nobody is there or it is no Holdfast tracker, DEADLINE_EXCEEDED if it
 *   never answers, CANCELLED
 */
export async function firstContact(
  tracker: TrackerApi,
  addresses: readonly string[],
  tools: { readonly clock: Clock; readonly random: Random; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const shown = addresses.join(', ');
  // Every address gets its turn: a failed call goes on to the next.
  let turnsLeft = addresses.length;
  const isRetryable = (error: HoldfastError): boolean =>
    hasCode(error, 'UNAVAILABLE') || (hasCode(error, 'DEADLINE_EXCEEDED') && --turnsLeft > 0);
  try {
    await withRetry(startingRetry, { ...tools, isRetryable }, () =>
      tracker.getEntry('/', { signal: tools.signal, deadlineMs: silentPeerMs / addresses.length }),
    );
  } catch (error) {
    throw HoldfastError.is(error) ? explained(error, shown) : error;
  }
}

function explained(error: HoldfastError, shown: string): HoldfastError {
  switch (error.code) {
    case 'UNAVAILABLE':
      return new HoldfastError('UNAVAILABLE', `no tracker answers at ${shown} (${reasonOf(error)})`, {
        cause: error,
        remedy: startOne,
      });
    case 'DEADLINE_EXCEEDED':
      return new HoldfastError(
        'DEADLINE_EXCEEDED',
        `${shown} accepts connections but did not answer in time`,
        {
          cause: error,
          remedy: `Check that it is a Holdfast tracker, and that it is not frozen. ${startOne}`,
        },
      );
    // What another gRPC server, a web server or a keeper says.
    case 'UNIMPLEMENTED':
    case 'INTERNAL':
      return new HoldfastError('UNAVAILABLE', `what listens at ${shown} is not a Holdfast tracker`, {
        cause: error,
        remedy: startOne,
      });
    default:
      return error;
  }
}

/** The cause in a few words: grpc-js's own are long. */
function reasonOf({ message }: HoldfastError): string {
  if (/ECONNREFUSED/.test(message)) return 'connection refused';
  if (/ENOTFOUND|EAI_AGAIN|Name resolution/.test(message)) return 'the host name is not known';
  if (/Parse Error|Protocol error|HTTP\/1|ERR_HTTP2|GOAWAY/i.test(message)) return 'it does not speak gRPC';
  return message;
}
