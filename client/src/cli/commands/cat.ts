/** `client cat`: files to standard output. */
import { hasCode } from '@holdfast/shared';
import { Batch, unanswered } from '../batch.js';
import type { CommandSpec } from '../command.js';
import { noFile } from '../entries.js';
import { remotePath } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';
import { writeOut } from '../write-out.js';

export const catCommand: CommandSpec = {
  name: 'cat',
  synopsis: 'REMOTE…',
  describe: 'Write files to standard output',
  details: globWords,
  options: {},
  examples: [['cat /notes.txt', 'show a file']],
  minPaths: 1,
  maxPaths: Infinity,
  async run(context) {
    const { paths, report, signal, connect } = context;
    report.keepStdoutForData();
    const asked = paths.map(remotePath);
    const client = await connect();
    const remotes = await expandGlobs(client, asked, signal);
    const batch = new Batch(report, unanswered);
    for (const { path } of remotes) {
      await batch.run({ path }, signal, async () => {
        await writeOut(context, path, client.createReadStream(path, { signal })).catch((error: unknown) => {
          throw hasCode(error, 'IS_A_DIRECTORY') ? noFile(path) : error;
        });
      });
    }
    return batch.exitStatus;
  },
};
