/** `client ls`: what is in a directory, in byte order of the names. */
import { baseName } from '@holdfast/shared';
import type { Entry } from '../../ports/tracker-api.js';
import type { CommandSpec } from '../command.js';
import { remotePath } from '../flag-values.js';
import { timeWords } from '../words.js';

export const lsCommand: CommandSpec = {
  name: 'ls',
  synopsis: '[REMOTE]',
  describe: 'List a directory (default: /)',
  details:
    'Directories end with "/". On a terminal, names with control characters are shown as $\'a\\nb\'; elsewhere ' +
    'as they are. For programs that must tell names with newlines apart there is --json.',
  options: { long: { type: 'boolean', alias: 'l', describe: 'Also mode, size in bytes and time' } },
  examples: [['ls -l /photos', 'with sizes and times']],
  minPaths: 0,
  maxPaths: 1,
  async run({ paths, flags, report, signal, connect }) {
    const { path } = remotePath(paths[0] ?? '/');
    const client = await connect();
    const top = await client.stat(path, { signal });
    const entries = top.type === 'file' ? [top] : client.list(path, { signal });
    const long = flags.isSet('long');
    const documents: Entry[] = [];
    for await (const entry of entries) {
      // One document at the end; lines as they come, so that a large directory needs no memory.
      if (report.json) documents.push(entry);
      else {
        const name = report.name(entry === top ? path : baseName(entry.path));
        report.result(`${long ? longPart(entry) : ''}${name}${entry.type === 'directory' ? '/' : ''}`, entry);
      }
    }
    if (report.json) report.result('', { path, entries: documents });
    return 0;
  },
};

function longPart({ type, sizeBytes, createdAtUnixMs, attributes }: Entry): string {
  const kind = type === 'directory' ? 'd' : '-';
  const mode = attributes.mode === undefined ? '?????????' : modeWords(attributes.mode);
  const time = timeWords(attributes.modifiedAtUnixMs ?? createdAtUnixMs);
  return `${kind}${type === 'directory' ? '---------' : mode} ${String(sizeBytes).padStart(14)} ${time} `;
}

/** 0o644 → "rw-r--r--". */
function modeWords(mode: number): string {
  return [6, 3, 0]
    .map((shift) => {
      const bits = (mode >> shift) & 7;
      return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${bits & 1 ? 'x' : '-'}`;
    })
    .join('');
}
