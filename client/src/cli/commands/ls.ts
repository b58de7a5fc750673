/** `client ls`: what is in a directory, in byte order of the names or sorted otherwise. */
import { baseName } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { Entry } from '../../ports/tracker-api.js';
import { Batch, unanswered } from '../batch.js';
import type { CommandContext, CommandSpec } from '../command.js';
import { remotePath } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';
import {
  type Order,
  type Sorting,
  inOrder,
  limitBy,
  limitOption,
  sortOptions,
  sortingBy,
} from '../sorting.js';
import { sizeWords, timeWords } from '../words.js';

export const lsCommand: CommandSpec = {
  name: 'ls',
  synopsis: '[REMOTE…]',
  describe: 'List directories (default: /)',
  details:
    'Directories end with "/". On a terminal, names with control characters are shown as $\'a\\nb\'; elsewhere ' +
    'as they are. For programs that must tell names with newlines apart there is --json. In byte order of the names it ' +
    'needs no memory; sorted otherwise, all entries that are listed are in memory, about 1 KB each, or with --limit so ' +
    `many. ${globWords}`,
  options: {
    long: { type: 'boolean', alias: 'l', describe: 'Also mode, size in bytes and time' },
    human: { type: 'boolean', describe: 'With -l, sizes as 1.5 MiB' },
    recursive: { type: 'boolean', alias: 'R', describe: 'Also what is below, each with its whole path' },
    ...sortOptions(['name', 'size', 'time']),
    S: { type: 'boolean', describe: 'As --sort size' },
    t: { type: 'boolean', describe: 'As --sort time' },
    ...limitOption,
  },
  examples: [
    ['ls -l /photos', 'with sizes and times'],
    ['ls -lt --limit 10 /logs', 'the ten newest'],
    ['ls -lRS --limit 10 /', 'the ten largest of all files'],
  ],
  minPaths: 0,
  maxPaths: Infinity,
  async run(context) {
    const { paths, flags, signal, connect } = context;
    const limit = limitBy(flags);
    const sorting = sortingBy(flags, orders, { S: 'size', t: 'time' });
    const asked = (paths.length > 0 ? paths : ['/']).map(remotePath);
    const client = await connect();
    const remotes = await expandGlobs(client, asked, signal);
    const batch = new Batch(context.report, unanswered);
    const view = { sorting, limit, heading: remotes.length > 1 };
    // Files first, as below a directory's heading they would be taken for its own.
    const directories: Entry[] = [];
    let isFirst = true;
    for (const { path } of remotes) {
      await batch.run({ path }, signal, async () => {
        const top = await client.stat(path, { signal });
        if (top.type === 'directory') return void directories.push(top);
        await show(context, client, top, { ...view, isFirst });
        isFirst = false;
      });
    }
    for (const top of directories) {
      await batch.run({ path: top.path }, signal, () => show(context, client, top, { ...view, isFirst }));
      isFirst = false;
    }
    return batch.exitStatus;
  },
};

const timeOf = ({ attributes, createdAtUnixMs }: Entry): number =>
  attributes.modifiedAtUnixMs ?? createdAtUnixMs;

/** Largest and newest first, as ls has them. */
const orders: Readonly<Record<string, Order<Entry>>> = {
  size: (one, other) => other.sizeBytes - one.sizeBytes,
  time: (one, other) => timeOf(other) - timeOf(one),
};

interface View {
  readonly sorting: Sorting<Entry> | undefined;
  readonly limit: number;
  /** Whether directories are told apart by a line with their path, as several are shown. */
  readonly heading: boolean;
  /** Whether nothing was shown before. */
  readonly isFirst: boolean;
}

async function show(
  { flags, report, signal }: CommandContext,
  client: HoldfastClient,
  top: Entry,
  { sorting, limit, heading, isFirst }: View,
): Promise<void> {
  const { path } = top;
  const isFile = top.type === 'file';
  const recursive = flags.isSet('recursive');
  const listed = isFile ? only(top) : client.list(path, { ...(recursive && { depth: Infinity }), signal });
  const entries = inOrder(listed, sorting, limit);
  const documents: Entry[] = [];
  if (heading && !isFile && !report.json) report.result(`${isFirst ? '' : '\n'}${report.name(path)}:`, {});
  for await (const entry of entries) {
    // One document at the end; lines as they come, so that a large directory needs no memory.
    if (report.json) documents.push(entry);
    else {
      const name = report.name(isFile || recursive ? entry.path : baseName(entry.path));
      const long = flags.isSet('long') ? longPart(entry, flags.isSet('human')) : '';
      report.result(`${long}${name}${entry.type === 'directory' ? '/' : ''}`, entry);
    }
  }
  if (report.json) report.result('', { path, entries: documents });
}

async function* only(entry: Entry): AsyncGenerator<Entry, void, undefined> {
  yield entry;
}

function longPart(entry: Entry, human: boolean): string {
  const { type, sizeBytes, attributes } = entry;
  const kind = type === 'directory' ? 'd' : '-';
  const mode = attributes.mode === undefined ? '?????????' : modeWords(attributes.mode);
  const size = human ? sizeWords(sizeBytes).padStart(10) : String(sizeBytes).padStart(14);
  return `${kind}${type === 'directory' ? '---------' : mode} ${size} ${timeWords(timeOf(entry))} `;
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
