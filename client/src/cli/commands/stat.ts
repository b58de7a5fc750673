/** `client stat`: one entry in full. */
import type { CommandSpec } from '../command.js';
import type { Entry } from '../../ports/tracker-api.js';
import { remotePath } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';
import { copiesWords, sizeWords, timeWords } from '../words.js';

export const statCommand: CommandSpec = {
  name: 'stat',
  synopsis: 'REMOTE…',
  describe: 'Describe files and directories, and how many copies they have',
  details: globWords,
  options: {},
  examples: [['stat /notes.txt', 'size, version, copies']],
  minPaths: 1,
  maxPaths: Infinity,
  async run({ paths, report, signal, connect }) {
    const asked = paths.map(remotePath);
    const client = await connect();
    for (const [index, { path }] of (await expandGlobs(client, asked, signal)).entries()) {
      const entry = await client.stat(path, { signal });
      const lines = rows(entry, report.name(path)).map(([label, value]) => `${label.padEnd(9)} ${value}`);
      report.result(`${index > 0 ? '\n' : ''}${lines.join('\n')}`, entry);
    }
    return 0;
  },
};

function rows(entry: Entry, shownPath: string): [string, string][] {
  const { type, sizeBytes, version, createdAtUnixMs, attributes, policy, contentDigest, durability } = entry;
  const shown: [string, string][] = [
    ['path', shownPath],
    ['type', type],
  ];
  if (type === 'file') {
    shown.push(['size', `${sizeBytes} bytes (${sizeWords(sizeBytes)})`], ['version', String(version)]);
  }
  shown.push(['stored', timeWords(createdAtUnixMs)]);
  const { modifiedAtUnixMs, mode } = attributes;
  if (modifiedAtUnixMs !== undefined) shown.push(['modified', timeWords(modifiedAtUnixMs)]);
  if (mode !== undefined) shown.push(['mode', mode.toString(8).padStart(4, '0')]);
  if (policy) shown.push(['policy', `${policy.pieces} copies, ${policy.minWrite} before an upload returns`]);
  if (contentDigest !== undefined) shown.push(['digest', contentDigest]);
  if (durability) {
    const below = durability.chunksBelowPolicy;
    const few = below > 0 ? ` (${below} of ${durability.chunks} chunks lack copies)` : '';
    shown.push(['copies', `${copiesWords(durability)}${few}`]);
  }
  return shown;
}
