/** `client find`: entries below a directory that meet every condition. */
import { HoldfastError, baseName } from '@holdfast/shared';
import type { Entry } from '../../ports/tracker-api.js';
import type { CommandSpec, Flags } from '../command.js';
import { withAllBelow } from '../entries.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { namePattern } from '../name-pattern.js';
import { expandGlobs } from '../remote-globs.js';
import { inOrder, limitBy, limitOption } from '../sorting.js';

const nulByte = '\0';

export const findCommand: CommandSpec = {
  name: 'find',
  synopsis: '[REMOTE…]',
  describe: 'List what is at and below a path and meets every condition (default: /)',
  details:
    'In a GLOB, * stands for any characters, ? for one, [a-z] for one of these, [!a-z] for any other; it must match ' +
    'the whole name, which is what stands behind the last "/". Ages are of the modification time that the ' +
    'uploader gave, else of when the file was stored.',
  options: {
    name: { type: 'string', requiresArg: true, describe: 'The name matches this GLOB' },
    iname: { type: 'string', requiresArg: true, describe: 'As --name, whatever the case of letters' },
    type: {
      type: 'string',
      requiresArg: true,
      describe: 'f for files, d for directories',
      words: ['f', 'd'],
    },
    'min-size': { type: 'string', requiresArg: true, describe: 'Files of at least this size, such as 10MiB' },
    'max-size': { type: 'string', requiresArg: true, describe: 'Files of at most this size' },
    newer: { type: 'string', requiresArg: true, describe: 'Not older than this, such as 12h or 7d' },
    older: { type: 'string', requiresArg: true, describe: 'Older than this' },
    depth: {
      type: 'string',
      requiresArg: true,
      describe: 'Go down so many levels',
      defaultDescription: 'all',
    },
    ...limitOption,
    print0: { type: 'boolean', alias: '0', describe: 'End each path with NUL, for xargs -0' },
  },
  examples: [
    ["find /photos --name '*.jpg' --min-size 10MiB", 'large pictures'],
    ['client find /logs --type f --older 30d -0 | xargs -0 client rm', 'remove what is old'],
  ],
  minPaths: 0,
  maxPaths: Infinity,
  async run({ paths, flags, io, report, signal, connect }) {
    const depth = flagValue(flags, 'depth', wholeNumber(0, 10_000)) ?? Infinity;
    const limit = limitBy(flags);
    const matches = await conditionOf(flags);
    const asked = (paths.length > 0 ? paths : ['/']).map(remotePath);
    const client = await connect();
    const remotes = await expandGlobs(client, asked, signal);
    for await (const entry of inOrder(found(), undefined, limit)) {
      if (flags.isSet('print0') && !report.json) io.stdout.write(entry.path + nulByte);
      else report.result(report.name(entry.path), entry);
    }
    return 0;

    async function* found(): AsyncGenerator<Entry, void, undefined> {
      for (const { path } of remotes) {
        for await (const entry of withAllBelow(client, path, { depth, signal })) {
          if (matches(entry)) yield entry;
        }
      }
    }
  },
};

type Condition = (entry: Entry) => boolean;

/** Every condition that was given, as one. */
async function conditionOf(flags: Flags): Promise<Condition> {
  const { parseDuration, parseSize } = await import('@holdfast/shared/values');
  const nowUnixMs = Date.now();
  const ageMs = ({ attributes, createdAtUnixMs }: Entry): number =>
    nowUnixMs - (attributes.modifiedAtUnixMs ?? createdAtUnixMs);
  const condition = <T>(
    name: string,
    parse: (text: string) => T,
    holds: (value: T, entry: Entry) => boolean,
  ): Condition[] => {
    const value = flagValue(flags, name, parse);
    return value === undefined ? [] : [(entry) => holds(value, entry)];
  };
  const isFile = ({ type }: Entry): boolean => type === 'file';
  const conditions = [
    ...condition('name', namePattern, (match, { path }) => match(baseName(path))),
    ...condition(
      'iname',
      (glob) => namePattern(glob, { anyCase: true }),
      (match, { path }) => match(baseName(path)),
    ),
    ...condition('type', entryType, (wanted, { type }) => type === wanted),
    ...condition('min-size', parseSize, (min, entry) => isFile(entry) && entry.sizeBytes >= min),
    ...condition('max-size', parseSize, (max, entry) => isFile(entry) && entry.sizeBytes <= max),
    ...condition('newer', parseDuration, (limitMs, entry) => ageMs(entry) <= limitMs),
    ...condition('older', parseDuration, (limitMs, entry) => ageMs(entry) > limitMs),
  ];
  return (entry) => conditions.every((holds) => holds(entry));
}

function entryType(text: string): Entry['type'] {
  if (text === 'f' || text === 'file') return 'file';
  if (text === 'd' || text === 'directory') return 'directory';
  throw new HoldfastError('INVALID_ARGUMENT', `expected f or d, not "${text}"`);
}
