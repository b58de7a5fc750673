/** `client mkdir`: directories. */
import { HoldfastError, hasCode } from '@holdfast/shared';
import type { CommandSpec } from '../command.js';
import { remotePath } from '../flag-values.js';

export const mkdirCommand: CommandSpec = {
  name: 'mkdir',
  synopsis: 'REMOTE…',
  describe: 'Make directories',
  options: {
    parents: { type: 'boolean', alias: 'p', describe: 'Make parents too, and accept what exists' },
  },
  examples: [['mkdir -p /a/b/c', 'with parents']],
  minPaths: 1,
  maxPaths: Infinity,
  async run({ paths, flags, report, signal, connect }) {
    const remotes = paths.map(remotePath);
    const client = await connect();
    for (const { path } of remotes) {
      const parents = flags.isSet('parents');
      const entry = await client.makeDirectory(path, { parents, signal }).catch((error: unknown) => {
        throw hasCode(error, 'ALREADY_EXISTS') ? inTheWay(error, parents) : error;
      });
      if (report.json) report.result('', entry);
    }
    return 0;
  },
};

/** What is there already, with what helps against it: a directory is never replaced. */
function inTheWay(error: HoldfastError, parents: boolean): HoldfastError {
  const remedy = parents ? 'It is a file: choose another name.' : 'Use -p to accept a directory that exists.';
  return new HoldfastError(error.code, error.message, { cause: error, remedy, facts: error.facts });
}
