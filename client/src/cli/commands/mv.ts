/** `client mv`: renames files and whole directories. */
import type { CommandSpec } from '../command.js';
import { destinationsOf, sourcesAndTarget } from '../remote-target.js';

export const mvCommand: CommandSpec = {
  name: 'mv',
  synopsis: 'REMOTE… TARGET',
  describe: 'Move or rename files and directories',
  details: 'Into TARGET if that is a directory or ends with "/", else as TARGET.',
  options: { force: { type: 'boolean', alias: 'f', describe: 'Replace a file that exists' } },
  examples: [
    ['mv /draft.txt /final.txt', 'rename'],
    ['mv /a.txt /b.txt /folder/', 'into a directory'],
  ],
  minPaths: 2,
  maxPaths: Infinity,
  async run({ paths, flags, report, signal, connect }) {
    const asked = sourcesAndTarget(paths, 'moved');
    const client = await connect();
    const destinationOf = await destinationsOf(client, asked, signal);
    for (const source of asked.sources) {
      const options = { overwrite: flags.isSet('force'), signal };
      const moved = await client.move(source.path, destinationOf(source), options);
      if (report.json) report.result('', moved);
    }
    return 0;
  },
};
