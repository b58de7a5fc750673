/** `client mv`: renames files and whole directories. */
import { type CommandSpec, dryRunWithoutLookOption } from '../command.js';
import { globWords } from '../remote-globs.js';
import { destinationsOf, expandSources, sourcesAndTarget } from '../remote-target.js';

export const mvCommand: CommandSpec = {
  name: 'mv',
  synopsis: 'REMOTE… TARGET',
  describe: 'Move or rename files and directories',
  details: `Into TARGET if that is a directory or ends with "/", else as TARGET. ${globWords}`,
  options: {
    force: { type: 'boolean', alias: 'f', describe: 'Replace a file that exists' },
    ...dryRunWithoutLookOption,
  },
  examples: [
    ['mv /draft.txt /final.txt', 'rename'],
    ['mv /a.txt /b.txt /folder/', 'into a directory'],
  ],
  minPaths: 2,
  maxPaths: Infinity,
  async run({ paths, flags, report, signal, connect }) {
    const typed = sourcesAndTarget(paths, 'moved');
    const client = await connect();
    const asked = await expandSources(client, typed, signal);
    const destinationOf = await destinationsOf(client, asked, signal);
    for (const source of asked.sources) {
      const options = { overwrite: flags.isSet('force'), signal };
      const destination = destinationOf(source);
      if (flags.isSet('dry-run')) {
        const { path } = await client.stat(source.path, { signal });
        const words = `${report.name(path)} → ${report.name(destination)}`;
        report.result(words, { event: 'moved', path, destination, dryRun: true });
        continue;
      }
      const moved = await client.move(source.path, destination, options);
      if (report.json) report.result('', moved);
    }
    return 0;
  },
};
