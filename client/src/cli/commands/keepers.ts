/** `client keepers`: every keeper that the tracker knows. */
import type { CommandSpec } from '../command.js';
import { keeperLines } from '../keeper-table.js';

export const keepersCommand: CommandSpec = {
  name: 'keepers',
  synopsis: '',
  describe: 'List the keepers, how they are and how much they hold',
  details:
    'Commands take a keeper by its id, by the beginning of its id, or by its address. SCRUBBED is how many of its ' +
    'pieces it has read again in the round that runs.',
  options: {},
  examples: [
    ['keepers', 'a line each'],
    ['keepers --json', 'for programs'],
  ],
  minPaths: 0,
  maxPaths: 0,
  async run({ report, signal, connect }) {
    const keepers = await (await connect()).keepers({ signal });
    report.result(keeperLines(keepers).join('\n'), { keepers });
    return 0;
  },
};
