/** `client scrub`: has keepers read all that they store, now. */
import { findKeeper } from '../../cluster/find-keeper.js';
import type { CommandSpec } from '../command.js';
import { followJob, waitOption } from '../job-words.js';

export const scrubCommand: CommandSpec = {
  name: 'scrub',
  synopsis: '[KEEPER…]',
  describe: 'Have keepers read and check all that they store now',
  details:
    'All keepers, or those named by id, the beginning of one, or HOST:PORT. Damage that is found is repaired.',
  options: waitOption,
  examples: [['scrub 10.0.0.7:7500 --wait', 'one keeper, after its disk was in doubt']],
  minPaths: 0,
  maxPaths: Infinity,
  async run(context) {
    const { paths, signal, connect } = context;
    const client = await connect();
    const { keepers } = paths.length > 0 ? await client.status({ signal }) : { keepers: [] };
    const keeperIds = paths.map((name) => findKeeper(keepers, name).keeperId);
    return followJob(context, client, await client.scrub(keeperIds, { signal }));
  },
};
