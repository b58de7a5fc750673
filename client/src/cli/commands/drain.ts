/** `client drain`: empties a keeper, or lets it take pieces again. */
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import { findKeeper, shortId } from '../../cluster/find-keeper.js';
import type { CommandSpec } from '../command.js';
import { followJob, jobWords, waitOption } from '../job-words.js';

export const drainCommand: CommandSpec = {
  name: 'drain',
  synopsis: 'KEEPER',
  describe: 'Copy all that a keeper has elsewhere, so that it can be taken away',
  details:
    'KEEPER is an id, the beginning of one, or HOST:PORT. The keeper takes no new pieces from now on, also when the ' +
    'drain is done and when it is started again. The way back into service, at any time, is drain KEEPER --cancel.\n' +
    'The drain of a keeper that is gone ends when every chunk that it had is whole without it.',
  options: {
    ...waitOption,
    cancel: { type: 'boolean', describe: 'Take the keeper back into service, during the drain or after' },
  },
  examples: [
    ['drain 10.0.0.7:7500 --wait', 'and stay until it is empty'],
    ['drain 1a2b3c4d --cancel', 'keep it after all: it takes pieces again'],
  ],
  minPaths: 1,
  maxPaths: 1,
  async run(context) {
    const { paths, flags, report, signal, connect } = context;
    const client = await connect();
    const { keeperId, draining } = findKeeper((await client.status({ signal })).keepers, paths[0] ?? '');
    if (!flags.isSet('cancel'))
      return followJob(context, client, await client.drainKeeper(keeperId, { signal }));
    if (!draining) {
      throw new HoldfastError('NOT_FOUND', `keeper ${shortId(keeperId)} is not being drained`, {
        remedy: 'It takes pieces already, unless client status says otherwise.',
      });
    }
    // A job that is long over may be forgotten; another one is then begun to be cancelled.
    const jobId =
      (await latestDrain(client, keeperId, signal)) ?? (await client.drainKeeper(keeperId, { signal }));
    const job = await client.cancelJob(jobId, { signal });
    report.done(`${jobWords(job)}\nThe keeper takes pieces again.`, job);
    return 0;
  },
};

async function latestDrain(
  client: HoldfastClient,
  keeperId: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  for await (const job of client.listJobs({ signal })) {
    if (job.kind === 'drain' && job.keeperIds.includes(keeperId)) return job.jobId;
  }
  return undefined;
}
