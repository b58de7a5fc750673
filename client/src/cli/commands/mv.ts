/** `client mv`: renames files and whole directories. */
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import { Batch, unanswered } from '../batch.js';
import { type CommandContext, type CommandSpec, dryRunOption } from '../command.js';
import { globWords } from '../remote-globs.js';
import { refuseMove } from '../remote-refusals.js';
import { destinationsOf, expandSources, sourcesAndTarget } from '../remote-target.js';

export const mvCommand: CommandSpec = {
  name: 'mv',
  synopsis: 'REMOTE… TARGET',
  describe: 'Move or rename files and directories',
  details: `Into TARGET if that is a directory or ends with "/", else as TARGET. ${globWords}`,
  options: {
    force: { type: 'boolean', alias: 'f', describe: 'Replace a file that exists' },
    ...dryRunOption,
  },
  examples: [
    ['mv /draft.txt /final.txt', 'rename'],
    ['mv /a.txt /b.txt /folder/', 'into a directory'],
  ],
  minPaths: 2,
  maxPaths: Infinity,
  async run(context) {
    const { paths, report, signal, connect } = context;
    const typed = sourcesAndTarget(paths, 'moved');
    const client = await connect();
    const asked = await expandSources(client, typed, signal);
    const destinationOf = await destinationsOf(client, asked, signal);
    const batch = new Batch(report, unanswered);
    for (const source of asked.sources) {
      const { path } = source;
      const take = (): Promise<void> => moveOne(context, client, path, destinationOf(source));
      await (asked.sources.length > 1 ? batch.run({ path }, signal, take) : take());
    }
    return batch.exitStatus;
  },
};

async function moveOne(
  { flags, report, signal }: CommandContext,
  client: HoldfastClient,
  path: string,
  destination: string,
): Promise<void> {
  const options = { overwrite: flags.isSet('force'), signal };
  if (flags.isSet('dry-run') || path === destination) {
    const entry = await client.stat(path, { signal });
    if (path === destination) {
      throw new HoldfastError('INVALID_ARGUMENT', `${JSON.stringify(path)} would be moved onto itself`);
    }
    await refuseMove(client, entry, destination, options);
    const words = `${report.name(path)} → ${report.name(destination)}`;
    return report.result(words, { event: 'moved', path, destination, dryRun: true });
  }
  const moved = await client.move(path, destination, options);
  if (report.json) report.result('', moved);
}
