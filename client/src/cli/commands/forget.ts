/** `client forget`: takes a keeper that will not come back off the list. */
import { findKeeper } from '../../cluster/find-keeper.js';
import type { CommandSpec } from '../command.js';
import { shortId } from '../../cluster/find-keeper.js';

export const forgetCommand: CommandSpec = {
  name: 'forget',
  synopsis: 'KEEPER',
  describe: 'Take a keeper that will not come back off the list',
  details:
    'KEEPER is an id, the beginning of one, or HOST:PORT. Refused while it is there, and while anything that it has ' +
    'lacks a copy elsewhere.',
  options: {},
  examples: [['forget 1a2b3c4d', 'after it was drained and stopped, or is lost']],
  minPaths: 1,
  maxPaths: 1,
  async run({ paths, report, signal, connect }) {
    const client = await connect();
    const { keeperId } = findKeeper((await client.status({ signal })).keepers, paths[0] ?? '');
    await client.forgetKeeper(keeperId, { signal });
    report.done(`keeper ${shortId(keeperId)} is forgotten`, { keeperId });
    return 0;
  },
};
