/** `client trash`: what was deleted or replaced. */
import { HoldfastError, hasCode } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { TrashedVersion } from '../../ports/tracker-api.js';
import { Batch, unanswered } from '../batch.js';
import type { CommandContext, CommandSpec } from '../command.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { filesAtOnce, forEachOf } from '../../core/for-each.js';
import { countWords, durationWords, sizeWords, timeWords } from '../words.js';

export const trashLsCommand: CommandSpec = {
  name: 'trash ls',
  synopsis: '[REMOTE]',
  describe: 'List the files that can be restored, at and below a path (default: all)',
  details:
    'In byte order of the paths, of each the version that left it last first. Only files: directories come back ' +
    'with what was in them.',
  options: {},
  examples: [['trash ls /photos', 'when it went, its size, its version, how much longer it is there']],
  minPaths: 0,
  maxPaths: 1,
  async run({ paths, report, signal, connect }) {
    const { path } = remotePath(paths[0] ?? '/');
    const client = await connect();
    const documents: TrashedVersion[] = [];
    for await (const found of client.listTrash(path, { signal })) {
      // One document at the end; lines as they come.
      if (report.json) documents.push(found);
      else report.result(line(found, report.name(found.path)), found);
    }
    if (report.json) report.result('', { path, versions: documents });
    return 0;
  },
};

function line({ version, sizeBytes, trashedAtUnixMs, expiresInMs, replaced }: TrashedVersion, name: string) {
  const how = replaced ? 'replaced' : 'deleted ';
  const left = `${durationWords(expiresInMs)} left`.padEnd(16);
  return `${how} ${timeWords(trashedAtUnixMs)} ${left} ${String(sizeBytes).padStart(14)} v${version} ${name}`;
}

export const trashRestoreCommand: CommandSpec = {
  name: 'trash restore',
  synopsis: 'REMOTE',
  describe: 'Bring a file back that was deleted or replaced; with -r all that was deleted below a path',
  details:
    'The version that left the path last, where it was, with the directories that are missing. With -r what was ' +
    'replaced is left alone: something newer took its place.',
  options: {
    recursive: { type: 'boolean', alias: 'r', describe: 'All files that were deleted at and below the path' },
    version: { type: 'string', requiresArg: true, describe: 'This version of it (trash ls shows them)' },
    to: { type: 'string', requiresArg: true, describe: 'Restore to this path instead' },
    force: { type: 'boolean', alias: 'f', describe: 'Replace a file that exists; it goes to the trash' },
  },
  examples: [
    ['trash restore /notes.txt', 'a file that was deleted'],
    ['trash restore /notes.txt --version 17 --to /notes-old.txt', 'what it was before'],
    ['trash restore -r /photos', 'a directory that was deleted with all that was in it'],
  ],
  minPaths: 1,
  maxPaths: 1,
  async run(context) {
    const { paths, flags, report, signal, connect } = context;
    const { path } = remotePath(paths[0] ?? '/');
    const to = remotePath(flags.text('to') ?? path).path;
    const version = flagValue(flags, 'version', wholeNumber(1, Number.MAX_SAFE_INTEGER));
    const recursive = flags.isSet('recursive');
    if (recursive && version !== undefined) {
      throw new HoldfastError('INVALID_ARGUMENT', '--version is of one file, not of a tree (-r)');
    }
    const client = await connect();
    if (recursive) return restoreTree(client, path, to, context);
    const options = {
      to,
      overwrite: flags.isSet('force'),
      signal,
      ...(version !== undefined && { version }),
    };
    const entry = await client.restore(path, options).catch((error: unknown) => {
      if (!hasCode(error, 'NOT_FOUND')) throw error;
      throw new HoldfastError('NOT_FOUND', error.message, {
        cause: error,
        remedy: 'Look at client trash ls. For all that was deleted below a directory use -r.',
      });
    });
    report.done(`${report.name(path)} is back at ${report.name(to)}, ${sizeWords(entry.sizeBytes)}`, entry);
    return 0;
  },
};

async function restoreTree(
  client: HoldfastClient,
  top: string,
  to: string,
  { flags, report, signal }: CommandContext,
): Promise<number> {
  const batch = new Batch(report, unanswered);
  const overwrite = flags.isSet('force');
  await forEachOf(
    lastDeleted(client.listTrash(top, { signal })),
    filesAtOnce,
    () => 1,
    ({ path, version }) =>
      batch.run({ path }, signal, async () => {
        const target = `${to === '/' ? '' : to}${top === '/' ? path : path.slice(top.length)}`;
        const entry = await client.restore(path, { version, to: target, overwrite, signal });
        batch.files += 1;
        batch.bytes += entry.sizeBytes;
        if (report.json) report.result('', { event: 'restored', from: path, ...entry });
      }),
  );
  const { files, bytes, failed } = batch;
  if (files + failed === 0) {
    throw new HoldfastError('NOT_FOUND', `nothing that was deleted at or below ${top} can be restored`);
  }
  const failures = failed > 0 ? `, ${failed} failed` : '';
  report.done(`restored ${countWords(files, 'file')}, ${sizeWords(bytes)}${failures}`, {
    event: 'summary',
    files,
    sizeBytes: bytes,
    failed,
  });
  return batch.exitStatus;
}

/** Of each path the version that left it last, unless another one took its place. */
async function* lastDeleted(
  versions: AsyncIterable<TrashedVersion>,
): AsyncGenerator<TrashedVersion, void, undefined> {
  let path = '';
  for await (const found of versions) {
    if (found.path !== path && !found.replaced) yield found;
    path = found.path;
  }
}

export const trashEmptyCommand: CommandSpec = {
  name: 'trash empty',
  synopsis: '[REMOTE]',
  describe: 'Give up what can be restored, at and below a path',
  details: 'Without a path everything, which takes --yes. Downloads in progress are not cut.',
  options: { yes: { type: 'boolean', alias: 'y', describe: 'Yes, everything' } },
  examples: [
    ['trash empty /old', 'what was at and below a path'],
    ['trash empty --yes', 'everything'],
  ],
  minPaths: 0,
  maxPaths: 1,
  async run({ paths, flags, report, signal, connect }) {
    const { path } = remotePath(paths[0] ?? '/');
    if (path === '/' && !flags.isSet('yes')) {
      throw new HoldfastError('INVALID_ARGUMENT', 'nothing that was deleted could be restored any more', {
        remedy: 'Name a path, or add --yes if everything is meant.',
      });
    }
    const client = await connect();
    const { versions, bytes } = await client.emptyTrash(path, { signal });
    report.done(`gave up ${countWords(versions, 'version')}, ${sizeWords(bytes)}`, { path, versions, bytes });
    return 0;
  },
};
