/** `client mv`: renames files and whole directories. */
import { HoldfastError, baseName, hasCode, joinPath } from '@holdfast/shared';
import type { CommandSpec } from '../command.js';
import { type RemotePath, remotePath } from '../flag-values.js';

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
    const remotes = paths.map(remotePath);
    const target = remotes.at(-1) ?? remotePath('/');
    const sources = remotes.slice(0, -1);
    if (sources.some(({ path }) => path === '/')) {
      throw new HoldfastError('INVALID_ARGUMENT', '"/" cannot be moved', { remedy: 'Move what is in it.' });
    }
    const client = await connect();
    const there = await client.stat(target.path, { signal }).catch((error: unknown) => {
      if (hasCode(error, 'NOT_FOUND')) return undefined;
      throw error;
    });
    const into = there?.type === 'directory';
    // "mv dir new/" names the directory anew, as mv does; a file cannot become a directory.
    const fits = async ({ path }: RemotePath) =>
      there === undefined && (await client.stat(path, { signal })).type === 'directory';
    const [first] = sources;
    if (!into && (sources.length > 1 || (target.asDirectory && first && !(await fits(first))))) {
      throw new HoldfastError('NOT_A_DIRECTORY', `${JSON.stringify(target.path)} is not a directory`, {
        remedy: 'Name a directory to move them into.',
      });
    }
    for (const { path } of sources) {
      const destination = into ? joinPath(target.path, baseName(path)) : target.path;
      const moved = await client.move(path, destination, { overwrite: flags.isSet('force'), signal });
      if (report.json) report.result('', moved);
    }
    return 0;
  },
};
