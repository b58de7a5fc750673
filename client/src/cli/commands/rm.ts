/** `client rm`: removes files and directories. */
import { HoldfastError, hasCode } from '@holdfast/shared';
import { Batch } from '../batch.js';
import type { CommandSpec } from '../command.js';
import { remotePath } from '../flag-values.js';

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
  },
  details: 'Files can be restored for a while (client trash restore), unless --permanent is given.',
  examples: [['rm -r /old', 'a directory with all that is in it']],
  minPaths: 1,
  maxPaths: Infinity,
  async run({ paths, flags, report, signal, connect }) {
    const remotes = paths.map(remotePath);
    const client = await connect();
    const batch = new Batch(report, ['UNAVAILABLE', 'DEADLINE_EXCEEDED']);
    for (const { path } of remotes) {
      const take = async (): Promise<void> => {
        try {
          const removed = await client.remove(path, { recursive: flags.isSet('recursive'), signal });
          if (flags.isSet('permanent')) await client.emptyTrash(path, { signal });
          if (report.json) report.result('', { path, removed });
        } catch (error) {
          if (flags.isSet('force') && hasCode(error, 'NOT_FOUND')) {
            if (report.json) report.result('', { path, removed: 0 });
            return;
          }
          if (!hasCode(error, 'NOT_EMPTY')) throw error;
          throw new HoldfastError('NOT_EMPTY', error.message, {
            cause: error,
            remedy: 'Use -r to remove it with all that is in it.',
          });
        }
      };
      await (remotes.length > 1 ? batch.run({ path }, signal, take) : take());
    }
    return batch.exitStatus;
  },
};
