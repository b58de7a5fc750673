/** `client watch`: what becomes of the entries below a path, a line for each change. */
import { HoldfastError } from '@holdfast/shared';
import type { EntryChange } from '../../ports/watch.js';
import type { CommandSpec } from '../command.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { secondWords } from '../words.js';

export const watchCommand: CommandSpec = {
  name: 'watch',
  synopsis: '[REMOTE]',
  describe: 'Follow the changes at and below a path (default: /) until Ctrl-C',
  details:
    'Each change is told once and in order, also over restarts of the tracker. A move and a removal of a directory are ' +
    'one line. With --json a line of JSON for each change, with the cursor to go on from. To mirror a tree: ' +
    '--print-cursor, then list, then watch with that --cursor; likewise when a cursor has expired.',
  options: {
    cursor: { type: 'string', requiresArg: true, describe: 'Go on after this place instead of now' },
    shallow: { type: 'boolean', describe: 'Not what is below the directories in it' },
    limit: { type: 'string', requiresArg: true, alias: 'n', describe: 'End after so many changes' },
    'print-cursor': { type: 'boolean', describe: 'Print the cursor of now and end' },
  },
  examples: [
    ['watch /photos', 'every upload, move and removal below /photos'],
    ['watch /inbox --shallow --limit 1', 'wait until something happens in /inbox'],
    ['watch / --json --cursor "$(cat cursor)"', 'go on where another run has ended'],
  ],
  minPaths: 0,
  maxPaths: 1,
  async run({ paths, flags, report, signal, connect }) {
    const { path } = remotePath(paths[0] ?? '/');
    const limit = flagValue(flags, 'limit', wholeNumber(1, Number.MAX_SAFE_INTEGER)) ?? Infinity;
    const cursor = flags.text('cursor');
    if (cursor === '') throw new HoldfastError('INVALID_ARGUMENT', '--cursor is empty');
    const client = await connect();
    if (flags.isSet('print-cursor')) {
      const now = await client.watchCursor({ signal });
      report.result(now, { cursor: now });
      return 0;
    }
    const recursive = !flags.isSet('shallow');
    let told = 0;
    for await (const change of client.watch(path, {
      signal,
      recursive,
      ...(cursor !== undefined && { cursor }),
    })) {
      report.result(
        line(change, (name) => report.name(name)),
        change,
      );
      told += 1;
      if (told >= limit) break;
    }
    return 0;
  },
};

function line(
  { changedAtUnixMs, kind, path, oldPath, type }: EntryChange,
  shown: (name: string) => string,
): string {
  const end = type === 'directory' ? '/' : '';
  const from = oldPath === undefined ? '' : `${shown(oldPath)}${end} -> `;
  return `${secondWords(changedAtUnixMs)}  ${kind.padEnd('replaced'.length)}  ${from}${shown(path)}${end}`;
}
