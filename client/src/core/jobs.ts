/** Jobs of the tracker: begun once however often the call is repeated, then looked at until they end. */
import type { ClientContext } from './context.js';
import { asking, mutating } from './retrying.js';
import type { Job } from '../ports/jobs.js';

type Tools = Pick<ClientContext, 'tracker' | 'clock' | 'random'>;

export interface JobOptions {
  /** Ends the waiting; the job goes on. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each look at the job. */
  readonly onProgress?: (job: Job) => void;
}

/** A small cluster is checked at once; a large one is looked at about once a second. */
const firstLookInMs = 50;
const maxLookInMs = 1_000;

/** Checks the whole cluster; resolves when the job has ended, however it did. */
export async function checkCluster(tools: Tools, options: JobOptions = {}): Promise<Job> {
  const { signal } = options;
  const jobId = await mutating(tools, signal, (requestId) =>
    tools.tracker.checkCluster(requestId, { signal }),
  );
  return ended(tools, jobId, options);
}

async function ended(tools: Tools, jobId: string, { signal, onProgress }: JobOptions): Promise<Job> {
  for (let pauseMs = firstLookInMs; ; pauseMs = Math.min(2 * pauseMs, maxLookInMs)) {
    const job = await asking(tools, signal, () => tools.tracker.getJob(jobId, { signal }));
    if (job.state !== 'running') return job;
    onProgress?.(job);
    await tools.clock.sleep(pauseMs, { signal });
  }
}
