/** `client upload`: files, directories and standard input into the cluster. */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { HoldfastError, fromErrno, hasCode, joinPath, limits } from '@holdfast/shared';
import type { HoldfastClient, UploadSource } from '../../client.js';
import type { UploadOptions } from '../../upload/upload.js';
import { Batch } from '../batch.js';
import { type CommandContext, type CommandSpec, dryRunOption, transferOptions } from '../command.js';
import { type RemotePath, flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { costOf, filesAtOnce, forEachOf } from '../for-each.js';
import { type LocalEntry, nameOf, walkLocal } from '../local-tree.js';
import { makeTop, notADirectory } from '../make-top.js';
import { excludeOption, excludeWords, excludedBy } from '../path-pattern.js';
import { type Progress, startProgress } from '../progress.js';
import { previewUploads } from '../transfer-preview.js';
import { copiesWords, countWords, durationWords, rateWords, sizeWords } from '../words.js';

export const uploadCommand: CommandSpec = {
  name: 'upload',
  synopsis: 'LOCAL… REMOTE',
  describe: 'Store local files in the cluster',
  details:
    'Works like cp: into REMOTE if that is a directory or ends with "/", else as REMOTE; several LOCALs need a ' +
    'directory. "-" is standard input. With -r, symbolic links are followed; links that lead nowhere or in circles, ' +
    'sockets, devices and pipes are skipped with a warning, and the status is then 1. Where there is no room until that ' +
    'of deleted files is back, it says so and waits for it, up to 15 minutes; Ctrl-C ends that. ' +
    excludeWords,
  options: {
    ...transferOptions,
    'chunk-size': { type: 'string', requiresArg: true, describe: 'Longest chunk, 64KiB to 64MiB' },
    replicas: { type: 'string', requiresArg: true, describe: 'Copies of each chunk, 1 to 16' },
    'min-write': {
      type: 'string',
      requiresArg: true,
      describe: 'Copies that must be durable before it returns',
    },
    ...excludeOption,
    ...dryRunOption,
    'skip-links': { type: 'boolean', describe: 'With -r, leave symbolic links out' },
    parents: { type: 'boolean', alias: 'p', describe: 'Make missing remote directories' },
  },
  examples: [
    ['upload cat.jpg /photos/', 'into a directory'],
    ['upload cat.jpg /cat2.jpg --force', 'under another name, replacing what is there'],
    ['upload -r photos /backup', 'a directory with all that is in it'],
    ['tar c . | client upload - /backup.tar', 'from a pipe'],
  ],
  minPaths: 2,
  maxPaths: Infinity,
  run,
};

/** What of the command line concerns every file. */
interface Job {
  readonly context: CommandContext;
  readonly client: HoldfastClient;
  readonly options: UploadOptions;
  readonly batch: Batch;
  readonly progress: Progress;
}

async function run(context: CommandContext): Promise<number> {
  const { paths, flags, io, report, signal } = context;
  const options = await uploadOptions(context);
  const sources = paths.slice(0, -1);
  const target = remotePath(paths.at(-1) ?? '');
  const local = await Promise.all(sources.map(statSource));
  for (const [index, status] of local.entries()) {
    if (status?.isDirectory() && !flags.isSet('recursive')) throw needsRecursive(sources[index] ?? '');
  }
  const client = await context.connect();
  const intoDirectory = await isDirectoryTarget(client, target, sources, options, signal);
  if (flags.isSet('dry-run')) {
    const remoteOf = (source: string) => (intoDirectory ? placeIn(target.path, source) : target.path);
    return previewUploads(context, sources, remoteOf);
  }
  const stopOn = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'NOT_ENOUGH_KEEPERS', 'OUT_OF_SPACE'] as const;
  // With several files a failure is one of many; alone it is the command's.
  const many = sources.length > 1 || local.some((status) => status?.isDirectory());
  const batch = new Batch(report, stopOn);
  const startedMs = performance.now();
  const progress = await startProgress(io, report.quiet || report.json, 'uploaded');
  const job: Job = { context, client, options, batch, progress };
  try {
    for (const [index, source] of sources.entries()) {
      const status = local[index];
      const remote = intoDirectory ? placeIn(target.path, source) : target.path;
      if (status?.isDirectory()) await uploadTree(job, source, remote);
      else {
        const take = () => uploadFile(job, source, remote, status?.isFile() ? status.size : 0);
        await (many ? batch.run({ local: source, path: remote }, signal, take) : take());
      }
    }
  } finally {
    progress.stop();
  }
  if (many) summary(job, performance.now() - startedMs);
  return batch.exitStatus;
}

async function uploadOptions({ flags, report, signal }: CommandContext): Promise<UploadOptions> {
  const { parseSize } = await import('@holdfast/shared/values');
  const chunkSizeBytes = flagValue(flags, 'chunk-size', (text) => {
    const size = parseSize(text);
    if (size >= limits.minChunkSizeBytes && size <= limits.maxChunkSizeBytes) return size;
    throw new HoldfastError('INVALID_ARGUMENT', `expected 64KiB to 64MiB, not "${text}"`);
  });
  const concurrency = flagValue(flags, 'concurrency', wholeNumber(1, 64));
  const replicas = flagValue(flags, 'replicas', wholeNumber(1, limits.maxPieces));
  const minWrite = flagValue(flags, 'min-write', wholeNumber(1, limits.maxPieces));
  if (replicas !== undefined && minWrite !== undefined && minWrite > replicas) {
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `--min-write ${minWrite} is more than --replicas ${replicas}`,
    );
  }
  let isWaiting = false;
  const onWaiting = (): void => {
    // Once, however many files wait, and however often.
    if (!isWaiting) report.warn('there is no room now; waiting for that of deleted files to come back');
    isWaiting = true;
  };
  return {
    onWaiting,
    overwrite: flags.isSet('force'),
    createParents: flags.isSet('parents'),
    signal,
    ...(chunkSizeBytes !== undefined && { chunkSizeBytes }),
    ...(concurrency !== undefined && { concurrency }),
    ...(replicas !== undefined && { replicas }),
    ...(minWrite !== undefined && { minWrite }),
  };
}

async function statSource(source: string): Promise<Stats | undefined> {
  if (source === '-') return undefined;
  try {
    return await stat(source);
  } catch (error) {
    throw fromErrno(error, `cannot read ${JSON.stringify(source)}`);
  }
}

function needsRecursive(source: string): HoldfastError {
  return new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(source)} is a directory`, {
    remedy: 'Use -r to upload it with all that is in it.',
  });
}

/** Whether the sources go into the target, as cp decides it. */
async function isDirectoryTarget(
  client: HoldfastClient,
  { path, asDirectory }: RemotePath,
  sources: readonly string[],
  { createParents }: UploadOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const entry = await client.stat(path, { signal }).catch((error: unknown) => {
    if (hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  });
  if (entry?.type === 'directory') return true;
  if (!asDirectory && sources.length === 1) return false;
  if (entry) throw notADirectory(path);
  if (createParents === true) return true;
  throw new HoldfastError('NOT_FOUND', `there is no remote directory ${JSON.stringify(path)}`, {
    remedy: `Make it first (client mkdir -p ${path}), or use -p.`,
  });
}

/** Where `source` goes in the directory: under its name; what is in "." goes into the directory itself. */
function placeIn(directory: string, source: string): string {
  if (source === '-') {
    throw new HoldfastError('INVALID_ARGUMENT', `standard input has no name to put into ${directory}`, {
      remedy: 'Name the remote file.',
    });
  }
  const name = nameOf(source);
  return name === '' ? directory : joinPath(directory, name);
}

async function uploadTree(job: Job, source: string, remote: string): Promise<void> {
  const { batch, client } = job;
  const { signal } = job.context;
  // Directories are made as they are met, and by files that are sooner than theirs.
  const inTree: Job = { ...job, options: { ...job.options, createParents: true } };
  const take = async (entry: LocalEntry): Promise<void> => {
    if (entry.kind === 'skipped') batch.skip(entry.why);
    else {
      await batch.run({ local: entry.path }, signal, async () => {
        if (entry.kind === 'failed') throw entry.error;
        if (entry.kind === 'file') await uploadFile(inTree, entry.path, entry.remote, entry.sizeBytes);
        else if (entry.remote !== '/') await client.makeDirectory(entry.remote, { parents: true, signal });
      });
    }
  };
  const isExcluded = excludedBy(job.context.flags);
  const skipLinks = job.context.flags.isSet('skip-links');
  const entries = walkLocal(source, remote, { skipLinks, ...(isExcluded && { isExcluded }) });
  // The walk starts with the directory itself, which decides whether the rest can be there at all.
  await entries.next();
  if (remote !== '/') {
    const { createParents = false } = job.options;
    await makeTop(client, remote, { createParents, signal });
  }
  const cost = (entry: LocalEntry): number => (entry.kind === 'file' ? costOf(entry.sizeBytes) : 1);
  await forEachOf(entries, filesAtOnce, cost, take);
}

async function uploadFile(job: Job, source: string, remote: string, sizeBytes: number): Promise<void> {
  const { client, options, batch, progress } = job;
  const { io, report } = job.context;
  const startedMs = performance.now();
  let seen = 0;
  progress.expect(sizeBytes, 1);
  const what: UploadSource = source === '-' ? io.stdin : source;
  const result = await client.upload(what, remote, {
    ...options,
    onProgress: ({ transferredBytes }) => {
      progress.moved(transferredBytes - seen);
      seen = transferredBytes;
    },
  });
  progress.fileDone();
  batch.files += 1;
  batch.bytes += result.sizeBytes;
  const durationMs = performance.now() - startedMs;
  const rate = rateWords(result.sizeBytes, durationMs);
  report.done(
    `${report.name(source)} → ${report.name(result.path)}: ${sizeWords(result.sizeBytes)} in ` +
      `${durationWords(durationMs)}${rate === '' ? '' : ` (${rate})`}; ${copiesWords(result.copies)}`,
    { event: 'uploaded', local: source, ...result, durationMs: Math.round(durationMs) },
  );
}

function summary({ context, batch }: Job, durationMs: number): void {
  const { files, bytes, failed, skipped } = batch;
  const extras = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  context.report.done(
    [
      `uploaded ${countWords(files, 'file')}, ${sizeWords(bytes)} in ${durationWords(durationMs)}`,
      ...extras,
    ].join(', '),
    { event: 'summary', files, sizeBytes: bytes, failed, skipped, durationMs: Math.round(durationMs) },
  );
}
