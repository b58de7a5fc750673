/** `client cat`: files to standard output. */
import type { CommandSpec } from '../command.js';
import { remotePath } from '../flag-values.js';
import { writeOut } from '../write-out.js';

export const catCommand: CommandSpec = {
  name: 'cat',
  synopsis: 'REMOTE…',
  describe: 'Write files to standard output',
  options: {},
  examples: [['cat /notes.txt', 'show a file']],
  minPaths: 1,
  maxPaths: Infinity,
  async run({ paths, io, report, signal, connect }) {
    report.keepStdoutForData();
    const remotes = paths.map(remotePath);
    const client = await connect();
    for (const { path } of remotes) await writeOut(client.createReadStream(path, { signal }), io.stdout);
    return 0;
  },
};
