/** `client rebalance`: evens out how full the keepers are. */
import type { CommandSpec } from '../command.js';
import { followJob, waitOption } from '../job-words.js';

export const rebalanceCommand: CommandSpec = {
  name: 'rebalance',
  synopsis: '',
  describe: 'Move pieces from the fullest keepers to the emptiest',
  details: 'Until every keeper is within 5 % of the mean; no more is moved than that needs.',
  options: waitOption,
  examples: [['rebalance --wait', 'after a keeper was added']],
  minPaths: 0,
  maxPaths: 0,
  async run(context) {
    const client = await context.connect();
    return followJob(context, client, await client.rebalance({ signal: context.signal }));
  },
};
