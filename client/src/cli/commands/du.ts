/** `client du`: how large directories are, with all that is below them. */
import { parentPath } from '@holdfast/shared';
import type { Entry } from '../../ports/tracker-api.js';
import type { CommandContext, CommandSpec } from '../command.js';
import { withAllBelow } from '../entries.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';
import { type Order, inOrder, limitBy, limitOption, sortOptions, sortingBy } from '../sorting.js';
import { countWords, sizeWords } from '../words.js';

export const duCommand: CommandSpec = {
  name: 'du',
  synopsis: '[REMOTE…]',
  describe: 'Sum up the sizes of files, for each directory (default: /)',
  details:
    'What is stored is the sizes times the copies that each file is to have; files that share bytes (client cp) are ' +
    `counted as if they did not. Sorted, all lines are in memory, or with --limit so many. ${globWords}`,
  options: {
    summarize: { type: 'boolean', alias: 's', describe: 'Only the sum for each REMOTE' },
    depth: {
      type: 'string',
      requiresArg: true,
      describe: 'Show directories down to so many levels below REMOTE',
      defaultDescription: 'all',
    },
    ...sortOptions(['name', 'size', 'files']),
    ...limitOption,
    bytes: { type: 'boolean', alias: 'b', describe: 'Sizes in bytes' },
  },
  examples: [
    ['du -s /photos', 'how large a directory is'],
    ['du --depth 1 --sort size /', 'which of the directories at the top are large'],
  ],
  minPaths: 0,
  maxPaths: Infinity,
  async run(context) {
    const { paths, flags, signal, connect } = context;
    const levels = flagValue(flags, 'depth', wholeNumber(0, 10_000)) ?? Infinity;
    const depth = flags.isSet('summarize') ? 0 : levels;
    const sorting = sortingBy(flags, orders);
    const limit = limitBy(flags);
    const asked = (paths.length > 0 ? paths : ['/']).map(remotePath);
    const client = await connect();
    const remotes = await expandGlobs(client, asked, signal);
    for await (const sum of inOrder(wanted(), sorting, limit)) tell(context, sum);
    return 0;

    async function* wanted(): AsyncGenerator<Sum, void, undefined> {
      for (const { path } of remotes) {
        for await (const sum of sumsOf(withAllBelow(client, path, { signal }))) {
          if (sum.level <= depth) yield sum;
        }
      }
    }
  },
};

/** The largest first. */
const orders: Readonly<Record<string, Order<Sum>>> = {
  size: (one, other) => other.sizeBytes - one.sizeBytes,
  files: (one, other) => other.files - one.files,
};

interface Sum {
  readonly path: string;
  /** 0 for what was asked about. */
  readonly level: number;
  files: number;
  sizeBytes: number;
  /** With all copies that are wanted. */
  storedBytes: number;
}

/** A sum for each directory, behind those of the directories in it, and one for a file that was asked about. */
async function* sumsOf(
  entries: AsyncGenerator<Entry, void, undefined>,
): AsyncGenerator<Sum, void, undefined> {
  /** The directories that the last entry is in. */
  const open: Sum[] = [];
  function* close(isOver: (sum: Sum) => boolean): Generator<Sum, void, undefined> {
    for (let last = open.at(-1); last && isOver(last); last = open.at(-1)) {
      open.pop();
      add(open.at(-1), last);
      yield last;
    }
  }
  for await (const entry of entries) {
    yield* close(({ path }) => path !== parentPath(entry.path));
    const sum = { path: entry.path, level: open.length, files: 0, sizeBytes: 0, storedBytes: 0 };
    const isFile = entry.type === 'file';
    if (isFile) {
      const { sizeBytes, policy } = entry;
      add(sum, { files: 1, sizeBytes, storedBytes: sizeBytes * (policy?.pieces ?? 1) });
    }
    if (isFile && open.length > 0) add(open.at(-1), sum);
    else open.push(sum);
  }
  yield* close(() => true);
}

function add(to: Sum | undefined, from: Pick<Sum, 'files' | 'sizeBytes' | 'storedBytes'>): void {
  if (!to) return;
  to.files += from.files;
  to.sizeBytes += from.sizeBytes;
  to.storedBytes += from.storedBytes;
}

function tell({ flags, report }: CommandContext, { path, files, sizeBytes, storedBytes }: Sum): void {
  const words = (bytes: number): string => (flags.isSet('bytes') ? String(bytes) : sizeWords(bytes));
  const columns = [
    words(sizeBytes).padStart(12),
    `${words(storedBytes)} stored`.padStart(19),
    countWords(files, 'file').padStart(12),
    report.name(path),
  ];
  report.result(columns.join('  '), { path, files, sizeBytes, storedBytes });
}
