/**
 * An upload's session with the tracker: opened, committed, or given up. What it answers: calls whose outcome nobody
 * learnt, at both ends of an upload.
 */
import { type HoldfastError, hasCode, newId, throwIfCancelled, withRetry } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { outcomeUnknown } from '../core/outcome.js';
import { asking, mutating } from '../core/retrying.js';
import type { CallOptions } from '../ports/call-options.js';
import type {
  BeginUploadRequest,
  CommitUploadRequest,
  CommittedFile,
  UploadSession,
} from '../ports/tracker-api.js';
import { type RoomOptions, awaitingRoom } from './room.js';

/** Keepers that restart are back within seconds; a user with too few of them should not wait long to hear it. */
const beginRetry = { initialBackoffMs: 200, maxBackoffMs: 1_000, factor: 2, budgetMs: 4_000 };
/** An abort is a courtesy: the session's lease ends by itself. */
const abortDeadlineMs = 2_000;
/** Codes under which a commit may have happened. */
const answerless = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'INTERNAL'] as const;

/** What of a session is for its caller to say. */
export type SessionRequest = Omit<BeginUploadRequest, 'requestId' | 'excludeKeeperIds'>;

/** Opens a session, waiting for keepers a little and for room as long as some is on its way. */
export function openSession(
  context: ClientContext,
  request: SessionRequest,
  options: RoomOptions,
): Promise<UploadSession> {
  const { signal } = options;
  const isRetryable = (error: HoldfastError): boolean => hasCode(error, 'NOT_ENOUGH_KEEPERS');
  const begin = () => {
    const excludeKeeperIds = [...context.health.recentlyFailed()];
    return mutating(context, signal, (requestId) =>
      openOnce(context, { ...request, requestId, excludeKeeperIds }, signal),
    );
  };
  return awaitingRoom(context, options, () =>
    withRetry(beginRetry, { ...context, signal, isRetryable }, begin),
  );
}

/**
 * One attempt to open the session. An abort does not cut it short at once: a session whose id never arrived
 * could not be ended, and would stay open for as long as its lease.
 */
async function openOnce(
  { tracker, clock }: ClientContext,
  request: BeginUploadRequest,
  signal: AbortSignal,
): Promise<UploadSession> {
  const late = new AbortController();
  let cancelTimer = (): void => undefined;
  const onAbort = (): void => {
    cancelTimer = clock.schedule(abortDeadlineMs, () => late.abort(signal.reason));
  };
  throwIfCancelled(signal);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await tracker.beginUpload(request, { signal: late.signal });
  } finally {
    signal.removeEventListener('abort', onAbort);
    cancelTimer();
  }
}

/** Gives the session up. Not under the caller's signal, which may be why. */
export function endSession(
  { tracker }: ClientContext,
  { uploadId }: Pick<UploadSession, 'uploadId'>,
): Promise<void> {
  return tracker.abortUpload(uploadId, { deadlineMs: abortDeadlineMs });
}

/**
 * Makes the files of a session visible. When it rejects, none is, unless the error is that nobody knows
 * (isOutcomeUnknown), which names `subject`.
 */
export async function commitSession(
  context: ClientContext,
  session: UploadSession,
  request: Omit<CommitUploadRequest, 'uploadId' | 'requestId'>,
  subject: string,
  signal: AbortSignal,
): Promise<readonly (CommittedFile | HoldfastError)[]> {
  const requestId = newId(context.random);
  const commit = (options: CallOptions) =>
    context.tracker.commitUpload({ ...request, uploadId: session.uploadId, requestId }, options);
  try {
    return await asking(context, signal, () => commit({ signal }));
  } catch (error) {
    if (!(signal.aborted || hasCode(error, ...answerless))) throw error;
    return settle(context, session, error, subject, commit);
  }
}

/**
 * The same for a session that is left to whoever goes on with it and then asks the same: it is not ended, and of a
 * commit without an answer nobody knows.
 */
export async function commitOnce(
  context: ClientContext,
  request: CommitUploadRequest,
  subject: string,
  signal: AbortSignal,
): Promise<readonly (CommittedFile | HoldfastError)[]> {
  try {
    return await asking(context, signal, () => context.tracker.commitUpload(request, { signal }));
  } catch (error) {
    throw signal.aborted || hasCode(error, ...answerless) ? outcomeUnknown(subject, error) : error;
  }
}

/**
 * After a commit that got no answer: ends the session, which fails only if it was committed. So either the files
 * are there, or they are not and never will be; what cannot be learnt is said to be unknown.
 */
async function settle<T>(
  context: ClientContext,
  session: UploadSession,
  error: unknown,
  subject: string,
  commit: (options: CallOptions) => Promise<T>,
): Promise<T> {
  try {
    await endSession(context, session);
  } catch (refusal) {
    if (!hasCode(refusal, 'UPLOAD_CLOSED')) throw outcomeUnknown(subject, error);
    // The same request_id, so the same answer.
    return commit({ deadlineMs: abortDeadlineMs }).catch(() => {
      throw outcomeUnknown(subject, error);
    });
  }
  throw error;
}
