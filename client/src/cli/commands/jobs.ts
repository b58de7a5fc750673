/** `client jobs`: what the tracker is doing for operators. */
import type { Job } from '../../ports/jobs.js';
import type { CommandSpec } from '../command.js';
import { findJob, jobDetails, jobWords } from '../job-words.js';

/** As many as fit a few screens; --all shows the rest. */
const shownJobs = 50;

export const jobsCommand: CommandSpec = {
  name: 'jobs',
  synopsis: '[JOB]',
  describe: 'Show the jobs of the cluster, or one of them, or cancel it',
  details: 'JOB is an id or the beginning of one. Without --all the latest 50 are shown.',
  options: {
    cancel: { type: 'string', requiresArg: true, describe: 'End this JOB where it stands' },
    all: { type: 'boolean', describe: 'Show all that are remembered' },
  },
  examples: [
    ['jobs', 'the latest first'],
    ['jobs 1a2b3c4d --json', 'one job, for programs'],
    ['jobs --cancel 1a2b3c4d', 'end it'],
  ],
  minPaths: 0,
  maxPaths: 1,
  async run({ paths, flags, report, signal, connect }) {
    const client = await connect();
    const cancelled = flags.text('cancel');
    if (cancelled !== undefined) {
      const job = await client.cancelJob((await findJob(client, cancelled, signal)).jobId, { signal });
      report.done(jobWords(job), job);
      return 0;
    }
    const [name] = paths;
    if (name !== undefined) {
      const job = await findJob(client, name, signal);
      report.result(jobDetails(job), job);
      return 0;
    }
    const jobs: Job[] = [];
    for await (const job of client.listJobs({ signal })) {
      if (jobs.length >= shownJobs && !flags.isSet('all')) break;
      jobs.push(job);
    }
    report.result(jobs.length === 0 ? 'No jobs.' : jobs.map(jobWords).join('\n'), { jobs });
    return 0;
  },
};
