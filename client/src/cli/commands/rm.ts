/** `client rm`: removes files and directories. */
import { HoldfastError, hasCode } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import { Batch, unanswered } from '../batch.js';
import { type CommandContext, type CommandSpec, dryRunOption } from '../command.js';
import { withAllBelow } from '../entries.js';
import { remotePath } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';

export const rmCommand: CommandSpec = {
  name: 'rm',
  synopsis: 'REMOTE…',
  describe: 'Remove files and empty directories; with -r whole directories',
  options: {
    recursive: { type: 'boolean', alias: 'r', describe: 'Also what is in directories' },
    force: { type: 'boolean', alias: 'f', describe: 'Accept what does not exist' },
    permanent: {
      type: 'boolean',
      describe: 'Also give up what the trash has of it, now and from before: nothing of it can be restored',
    },
    ...dryRunOption,
  },
  details: `Files can be restored for a while (client trash restore), unless --permanent is given. ${globWords}`,
  examples: [
    ['rm -r /old', 'a directory with all that is in it'],
    ["rm '/logs/*.tmp'", 'what matches a pattern'],
  ],
  minPaths: 1,
  maxPaths: Infinity,
  async run(context) {
    const { paths, report, signal, connect } = context;
    const asked = paths.map(remotePath);
    const client = await connect();
    const batch = new Batch(report, unanswered);
    for (const remote of asked) {
      const take = async (): Promise<void> => {
        const found = await unlessForced(context, remote.path, () => expandGlobs(client, [remote], signal));
        const many = asked.length + (found?.length ?? 0) > 2;
        for (const { path } of found ?? []) {
          const remove = (): Promise<void> => removeOne(context, client, path);
          await (many ? batch.run({ path }, signal, remove) : remove());
        }
      };
      await (asked.length > 1 ? batch.run({ path: remote.path }, signal, take) : take());
    }
    return batch.exitStatus;
  },
};

async function removeOne(context: CommandContext, client: HoldfastClient, path: string): Promise<void> {
  const { flags, report, signal } = context;
  const recursive = flags.isSet('recursive');
  try {
    await unlessForced(context, path, async () => {
      if (flags.isSet('dry-run')) return showOne(context, client, path);
      const removed = await client.remove(path, { recursive, signal });
      if (flags.isSet('permanent')) await client.emptyTrash(path, { signal });
      if (report.json) report.result('', { path, removed });
    });
  } catch (error) {
    if (!hasCode(error, 'NOT_EMPTY')) throw error;
    throw new HoldfastError('NOT_EMPTY', error.message, {
      cause: error,
      remedy: 'Use -r to remove it with all that is in it.',
    });
  }
}

/** What would go, a line each. */
async function showOne(
  { flags, report, signal }: CommandContext,
  client: HoldfastClient,
  path: string,
): Promise<void> {
  if (path === '/') throw new HoldfastError('INVALID_ARGUMENT', 'the root cannot be deleted');
  let first = true;
  for await (const entry of withAllBelow(client, path, { signal })) {
    if (!first && !flags.isSet('recursive')) {
      throw new HoldfastError('NOT_EMPTY', `${JSON.stringify(path)} is not empty`);
    }
    first = false;
    report.result(`- ${report.name(entry.path)}${entry.type === 'directory' ? '/' : ''}`, {
      event: 'removed',
      path: entry.path,
      type: entry.type,
      dryRun: true,
    });
  }
}

/** What is not there is fine with --force. */
async function unlessForced<T>(
  { flags, report }: CommandContext,
  path: string,
  job: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await job();
  } catch (error) {
    if (!flags.isSet('force') || !hasCode(error, 'NOT_FOUND')) throw error;
    if (report.json) report.result('', { path, removed: 0 });
    return undefined;
  }
}
