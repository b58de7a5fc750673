/** The calls about jobs and single keepers: retries, pages, and waiting for an end. */
import { HoldfastError, checkId } from '@holdfast/shared';
import { checkTexts } from '../core/check-options.js';
import type { ClientContext } from '../core/context.js';
import { type Page, pagesOf } from '../core/pages.js';
import { asking, mutating } from '../core/retrying.js';
import type { CallSignal } from '../namespace/namespace.js';
import type { Job } from '../ports/jobs.js';

type Tools = Pick<ClientContext, 'tracker' | 'clock' | 'random'>;

/** A small job is over at once; one of hours is looked at often enough to watch. */
const firstPollMs = 50;
const maxPollMs = 500;

export interface JobWaitOptions extends CallSignal {
  /** Told how the job stands, about twice a second, and how it ended. */
  readonly onProgress?: (job: Job) => void;
}

export async function drain(tools: Tools, keeperId: string, { signal }: CallSignal = {}): Promise<string> {
  checkId(keeperId, 'keeperId');
  return mutating(tools, signal, (requestId) => tools.tracker.drainKeeper(keeperId, requestId, { signal }));
}

export async function rebalance(tools: Tools, { signal }: CallSignal = {}): Promise<string> {
  return mutating(tools, signal, (requestId) => tools.tracker.rebalanceCluster(requestId, { signal }));
}

export async function scrub(
  tools: Tools,
  keeperIds: readonly string[],
  { signal }: CallSignal = {},
): Promise<string> {
  checkTexts(keeperIds, 'keeperIds');
  for (const keeperId of keeperIds) checkId(keeperId, 'keeperIds');
  return mutating(tools, signal, (requestId) => tools.tracker.scrubKeepers(keeperIds, requestId, { signal }));
}

/** Resolves to the id of the job; one that runs already answers with itself. */
export async function check(tools: Tools, { signal }: CallSignal = {}): Promise<string> {
  return mutating(tools, signal, (requestId) => tools.tracker.checkCluster(requestId, { signal }));
}

/** The latest first, a page at a time. */
export async function* list(tools: Tools, { signal }: CallSignal = {}): AsyncGenerator<Job, void, undefined> {
  const page = async (token: string): Promise<Page<Job>> => {
    const found = await asking(tools, signal, () => tools.tracker.listJobs(token, { signal }));
    return { items: found.jobs, nextPageToken: found.nextPageToken };
  };
  const nameOf = ({ jobId }: Job): string => JSON.stringify(jobId);
  // The tracker keeps few, and a wall clock is no order.
  yield* pagesOf('ListJobs', page, nameOf, () => 0);
}

export async function get(tools: Tools, jobId: string, { signal }: CallSignal = {}): Promise<Job> {
  checkId(jobId, 'jobId');
  return asking(tools, signal, () => tools.tracker.getJob(jobId, { signal }));
}

export async function cancel(tools: Tools, jobId: string, { signal }: CallSignal = {}): Promise<Job> {
  checkId(jobId, 'jobId');
  return asking(tools, signal, () => tools.tracker.cancelJob(jobId, { signal }));
}

/** Resolves when the job has ended, however. */
export async function wait(tools: Tools, jobId: string, options: JobWaitOptions = {}): Promise<Job> {
  const { signal, onProgress } = options;
  for (let pollMs = firstPollMs; ; pollMs = Math.min(2 * pollMs, maxPollMs)) {
    const job = await get(tools, jobId, { signal });
    onProgress?.(job);
    if (job.state !== 'running') return job;
    await tools.clock.sleep(pollMs, { signal });
  }
}

export async function setMaintenance(
  tools: Tools,
  keeperId: string,
  durationMs: number,
  { signal }: CallSignal = {},
): Promise<void> {
  checkId(keeperId, 'keeperId');
  if (!Number.isSafeInteger(durationMs) || durationMs < 0) {
    throw new HoldfastError('INVALID_ARGUMENT', 'durationMs must be a whole number from 0 on');
  }
  await mutating(tools, signal, (requestId) =>
    tools.tracker.setMaintenance({ keeperId, durationMs, requestId }, { signal }),
  );
}

export async function forget(tools: Tools, keeperId: string, { signal }: CallSignal = {}): Promise<void> {
  checkId(keeperId, 'keeperId');
  await mutating(tools, signal, (requestId) => tools.tracker.forgetKeeper(keeperId, requestId, { signal }));
}
