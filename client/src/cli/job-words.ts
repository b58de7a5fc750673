/** Jobs in the words of people, and waiting for one in sight. */
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import { shortId } from '../cluster/find-keeper.js';
import type { Job } from '../ports/jobs.js';
import type { CommandContext } from './command.js';
import { terminalWords } from './quote.js';
import { durationWords, sizeWords, timeWords } from './words.js';

/** Between two lines where there is no terminal. */
const lineEveryMs = 5_000;

/** "drain 1a2b3c4d of 5e6f7a8b: 12 of 40, 3.1 MiB, 2 min 5 s left: 12 of 40 pieces are elsewhere" */
export function jobWords(job: Job): string {
  const whom = job.keeperIds.length > 0 ? ` of ${job.keeperIds.map(shortId).join(', ')}` : '';
  const counts = [
    job.expected > 0 ? `${job.done} of ${job.expected}` : '',
    job.doneBytes > 0 ? sizeWords(job.doneBytes) : '',
    job.remainingMs === undefined ? '' : `${durationWords(job.remainingMs)} left`,
  ].filter((part) => part !== '');
  const how = [job.state, ...counts].join(', ');
  return `${job.kind} ${shortId(job.jobId)}${whom} (${how}): ${job.text}`;
}

/** One job with all that is known of it, a fact a line. */
export function jobDetails(job: Job): string {
  const lines = [
    jobWords(job),
    `job      ${job.jobId}`,
    ...job.keeperIds.map((keeperId) => `keeper   ${keeperId}`),
    `started  ${timeWords(job.startedAtUnixMs)}`,
    ...(job.endedAtUnixMs === undefined ? [] : [`ended    ${timeWords(job.endedAtUnixMs)}`]),
    ...job.findings.map(({ invariant, subject, text }) => `found    ${invariant} ${subject}: ${text}`),
  ];
  const hidden = job.findingsTotal - job.findings.length;
  return (hidden > 0 ? [...lines, `found    ${hidden} more`] : lines).join('\n');
}

/** What a verb says of the job that it began: at once, or with --wait when it has ended. Resolves to the exit status. */
export async function followJob(
  context: CommandContext,
  client: HoldfastClient,
  jobId: string,
): Promise<number> {
  const { flags, report, signal } = context;
  if (!flags.isSet('wait')) {
    const job = await client.getJob(jobId, { signal });
    report.done(
      `${jobWords(job)}\nIt runs in the cluster; see: ${context.io.program} jobs ${shortId(jobId)}`,
      job,
    );
    return 0;
  }
  const show = progressOf(context);
  try {
    const job = await client.waitForJob(jobId, { signal, onProgress: show.job });
    show.stop();
    report.result(jobWords(job), job);
    return job.state === 'done' ? 0 : 1;
  } catch (error) {
    show.stop();
    // Whatever ended the waiting, the job does not depend on it.
    report.warn(
      `job ${shortId(jobId)} goes on in the cluster; end it with: ${context.io.program} jobs --cancel ${shortId(jobId)}`,
    );
    throw error;
  }
}

/** On standard error: a line that is written over on a terminal, one every few seconds elsewhere. */
function progressOf({ io, report }: CommandContext): { job: (job: Job) => void; stop: () => void } {
  if (report.quiet) return { job: () => undefined, stop: () => undefined };
  if (io.stderr.isTTY === true) {
    const columns = io.stderr.columns ?? 80;
    return {
      job: (job) => {
        // On one line, whatever a server has put into its words.
        const words = terminalWords(jobWords(job).replaceAll('\n', ' '));
        io.stderr.write(`\r\x1b[K${words.slice(0, columns - 1)}`);
      },
      stop: () => void io.stderr.write('\r\x1b[K'),
    };
  }
  let saidMs = -Infinity;
  return {
    job: (job) => {
      const nowMs = performance.now();
      if (nowMs - saidMs < lineEveryMs || job.state !== 'running') return;
      saidMs = nowMs;
      io.stderr.write(`${jobWords(job)}\n`);
    },
    stop: () => undefined,
  };
}

export const waitOption = {
  wait: { type: 'boolean', describe: 'Stay until the job has ended; Ctrl-C leaves it running' },
} as const;

/** Jobs by id or by the beginning of it. @throws HoldfastError NOT_FOUND, INVALID_ARGUMENT if several are meant */
export async function findJob(client: HoldfastClient, name: string, signal: AbortSignal): Promise<Job> {
  const found: Job[] = [];
  for await (const job of client.listJobs({ signal })) if (job.jobId.startsWith(name)) found.push(job);
  const [first] = found;
  if (first && found.length === 1) return client.getJob(first.jobId, { signal });
  if (!first) {
    throw new HoldfastError('NOT_FOUND', `no job is called ${JSON.stringify(name)}`, {
      remedy: 'See client jobs; jobs that ended long ago are forgotten.',
    });
  }
  throw new HoldfastError('INVALID_ARGUMENT', `${JSON.stringify(name)} may be ${found.length} jobs`, {
    remedy: 'Give more of its id.',
  });
}
