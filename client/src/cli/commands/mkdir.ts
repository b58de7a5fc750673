/** `client mkdir`: directories. */
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
      const entry = await client.makeDirectory(path, { parents: flags.isSet('parents'), signal });
      if (report.json) report.result('', entry);
    }
    return 0;
  },
};
