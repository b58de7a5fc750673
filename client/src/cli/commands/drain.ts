/** `client drain`: empties a keeper, or lets it take pieces again. */
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import { findKeeper } from '../../cluster/find-keeper.js';
import type { Job } from '../../ports/jobs.js';
import type { CommandSpec } from '../command.js';
import { followJob, jobWords, waitOption } from '../job-words.js';

export const drainCommand: CommandSpec = {
  name: 'drain',
  synopsis: 'KEEPER',
  describe: 'Copy all that a keeper has elsewhere, so that it can be taken away',
  details:
    'KEEPER is an id, the beginning of one, or HOST:PORT. The keeper takes no new pieces until --cancel, which also ' +
    'undoes a drain that is done.',
  options: {
    ...waitOption,
    cancel: { type: 'boolean', describe: 'End the drain; the keeper takes pieces again' },
  },
  examples: [
    ['drain 10.0.0.7:7500 --wait', 'and stay until it is empty'],
    ['drain 1a2b3c4d --cancel', 'keep it after all'],
  ],
  minPaths: 1,
  maxPaths: 1,
  async run(context) {
    const { paths, flags, report, signal, connect } = context;
    const client = await connect();
    const { keeperId } = findKeeper((await client.status({ signal })).keepers, paths[0] ?? '');
    if (!flags.isSet('cancel'))
      return followJob(context, client, await client.drainKeeper(keeperId, { signal }));
    const { jobId } = await latestDrain(client, keeperId, signal);
    const job = await client.cancelJob(jobId, { signal });
    report.done(`${jobWords(job)}\nThe keeper takes pieces again.`, job);
    return 0;
  },
};

async function latestDrain(client: HoldfastClient, keeperId: string, signal: AbortSignal): Promise<Job> {
  for await (const job of client.listJobs({ signal })) {
    if (job.kind === 'drain' && job.keeperIds.includes(keeperId)) return job;
  }
  throw new HoldfastError('NOT_FOUND', `no drain of keeper ${keeperId} is known`, {
    remedy: 'See client jobs.',
  });
}
