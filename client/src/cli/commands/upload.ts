/** `client upload`: files, directories and standard input into the cluster. */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { HoldfastError, fromErrno, hasCode, joinPath, limits } from '@holdfast/shared';
import type { HoldfastClient, UploadSource } from '../../client.js';
import type { FileToUpload } from '../../upload/upload-many.js';
import type { UploadOptions, UploadResult } from '../../upload/upload.js';
import { Batch } from '../batch.js';
import {
  type CommandContext,
  type CommandSpec,
  type Flags,
  dryRunWithoutLookOption,
  transferOptions,
} from '../command.js';
import { type RemotePath, flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { Beside } from '../../core/beside.js';
import { type LocalDirectory, type WalkOptions, nameOf, walkLocal } from '../local-tree.js';
import { makeTop, notADirectory } from '../make-top.js';
import { excludeOption, excludeWords, excludedBy } from '../path-pattern.js';
import { type Amount, type Progress, expecting, movedOf, startProgress } from '../progress.js';
import { resumeOptions, resumeTeller, tellRest } from '../resume.js';
import { previewUploads } from '../transfer-preview.js';
import { uploadsDirectory } from '../../local/state-directory.js';
import { copiesWords, countWords, durationWords, movedWords, sizeWords } from '../words.js';

export const uploadCommand: CommandSpec = {
  name: 'upload',
  synopsis: 'LOCAL… REMOTE',
  describe: 'Store local files in the cluster',
  details:
    'Works like cp: into REMOTE if that is a directory or ends with "/", else as REMOTE; several LOCALs need a ' +
    'directory. "-" is standard input. With -r, symbolic links are followed; links that lead nowhere or in circles, ' +
    'sockets, devices and pipes are skipped with a warning, and the status is then 1. Where there is no room until that ' +
    'of deleted files is back, it says so and waits for it, up to 15 minutes; Ctrl-C ends that. ' +
    'A large file (from 32 MiB) whose upload was interrupted or killed is gone on with by the same command, for a day; ' +
    'a directory by "sync", which copies only what is missing. ' +
    excludeWords,
  options: {
    ...transferOptions,
    ...resumeOptions,
    'chunk-size': { type: 'string', requiresArg: true, describe: 'Longest chunk, 64KiB to 64MiB' },
    replicas: { type: 'string', requiresArg: true, describe: 'Copies of each chunk, 1 to 16' },
    'min-write': {
      type: 'string',
      requiresArg: true,
      describe: 'Copies that must be durable before it returns',
    },
    ...excludeOption,
    ...dryRunWithoutLookOption,
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
  const remoteOf = (source: string) => (intoDirectory ? placeIn(target.path, source) : target.path);
  if (flags.isSet('dry-run')) return previewUploads(context, sources, remoteOf);
  const stopOn = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'NOT_ENOUGH_KEEPERS', 'OUT_OF_SPACE'] as const;
  // With several files a failure is one of many; alone it is the command's.
  const many = sources.length > 1 || local.some((status) => status?.isDirectory());
  const batch = new Batch(report, stopOn);
  const startedMs = performance.now();
  const progress = await startProgress(io, report.quiet || report.json, 'uploaded');
  const job: Job = { context, client, options, batch, progress };
  const counting = new AbortController();
  if (many) progress.countAhead(() => amountOf(context, sources, local, counting.signal));
  try {
    const [source = ''] = sources;
    if (many) await uploadMany(job, filesOf(job, sources, local, remoteOf));
    else await uploadFile(job, fileAt(job, source, remoteOf(source), local[0]));
  } catch (error) {
    if (signal.aborted) {
      const directories = sources.filter((_, index) => local[index]?.isDirectory());
      progress.stop();
      tellRest(
        report,
        io.program,
        directories.map((each) => [each, `:${remoteOf(each)}`]),
      );
    }
    throw error;
  } finally {
    counting.abort();
    progress.stop();
  }
  if (many) summary(job, performance.now() - startedMs);
  return batch.exitStatus;
}

async function uploadOptions({ flags, io, report, signal }: CommandContext): Promise<UploadOptions> {
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
    resume: flags.isSet('resume') && (uploadsDirectory(io.env) ?? true),
    onResume: resumeTeller(report, 'stored'),
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

/** A file on its way. */
interface LocalFile extends FileToUpload<UploadSource> {
  readonly local: string;
  readonly sizeBytes: number;
  /** What to call it when it fails. */
  readonly about: Readonly<Record<string, unknown>>;
  readonly startedMs: number;
}

function fileAt({ context }: Job, local: string, path: string, status: Stats | undefined): LocalFile {
  return {
    ...{ local, path, about: { local, path }, startedMs: performance.now() },
    source: local === '-' ? context.io.stdin : local,
    sizeBytes: status?.isFile() ? status.size : 0,
  };
}

/** All files that the sources stand for. */
async function* filesOf(
  job: Job,
  sources: readonly string[],
  local: readonly (Stats | undefined)[],
  remoteOf: (source: string) => string,
): AsyncGenerator<LocalFile, void, undefined> {
  for (const [index, source] of sources.entries()) {
    const remote = remoteOf(source);
    if (local[index]?.isDirectory()) yield* filesInTree(job, source, remote);
    else yield fileAt(job, source, remote, local[index]);
  }
}

function walkOptions(flags: Flags): WalkOptions {
  const isExcluded = excludedBy(flags);
  return { skipLinks: flags.isSet('skip-links'), ...(isExcluded && { isExcluded }) };
}

/** The files of a directory; makes those directories in it that have none. */
async function* filesInTree(
  job: Job,
  source: string,
  remote: string,
): AsyncGenerator<LocalFile, void, undefined> {
  const { batch, client, options, context } = job;
  const { signal, flags } = context;
  const entries = walkLocal(source, remote, walkOptions(flags));
  // The walk starts with the directory itself, which decides whether the rest can be there at all.
  await entries.next();
  if (remote !== '/') {
    const { createParents = false } = options;
    await makeTop(client, remote, { createParents, signal });
  }
  const making = new Beside();
  const about = (path: string, job: () => Promise<void>): Promise<void> =>
    batch.run({ local: path }, signal, job);
  /** The last directory, as long as nothing was met in it: what goes into a directory makes it. */
  let bare: LocalDirectory | undefined;
  const makeBare = async (): Promise<void> => {
    if (!bare) return;
    const { path, remote: place } = bare;
    await making.start(() =>
      about(path, async () => {
        await client.makeDirectory(place, { parents: true, signal });
      }),
    );
  };
  for await (const entry of entries) {
    if (entry.kind === 'skipped') batch.skip(entry.why);
    else if (entry.kind === 'failed') await about(entry.path, () => Promise.reject(entry.error));
    else {
      if (bare && !entry.remote.startsWith(`${bare.remote}/`)) await makeBare();
      bare = entry.kind === 'directory' ? entry : undefined;
      if (entry.kind === 'directory') continue;
      const { path: local, remote: path, sizeBytes } = entry;
      yield {
        ...{ local, source: local, path, sizeBytes, createParents: true },
        ...{ about: { local }, startedMs: performance.now() },
      };
    }
  }
  await makeBare();
  await making.ended();
}

/** How much the sources have, for whoever looks at the progress. @throws what ended it before all was counted */
async function amountOf(
  { flags }: CommandContext,
  sources: readonly string[],
  local: readonly (Stats | undefined)[],
  signal: AbortSignal,
): Promise<Amount> {
  let [bytes, files] = [0, 0];
  for (const [index, source] of sources.entries()) {
    const status = local[index];
    if (!status?.isDirectory()) {
      bytes += status?.isFile() ? status.size : 0;
      files += 1;
      continue;
    }
    for await (const entry of walkLocal(source, '/', walkOptions(flags))) {
      signal.throwIfAborted();
      if (entry.kind !== 'file') continue;
      bytes += entry.sizeBytes;
      files += 1;
    }
  }
  return { bytes, files };
}

async function uploadMany(job: Job, files: AsyncGenerator<LocalFile, void, undefined>): Promise<void> {
  const { client, options, batch, progress } = job;
  const { signal } = job.context;
  const expected = expecting(progress, files, ({ sizeBytes }) => sizeBytes);
  const outcomes = client.uploadMany(expected, { ...options, onProgress: movedOf(progress) });
  for await (const { file, result, error } of outcomes) {
    await batch.run(file.about, signal, async () => {
      if (error) throw error;
      done(job, file, result);
    });
  }
}

async function uploadFile(job: Job, file: LocalFile): Promise<void> {
  const { client, options, progress } = job;
  progress.expect(file.sizeBytes, 1);
  done(job, file, await client.upload(file.source, file.path, { ...options, onProgress: movedOf(progress) }));
}

function done(
  { context: { report }, batch, progress }: Job,
  { local, startedMs }: LocalFile,
  result: UploadResult,
): void {
  progress.fileDone();
  batch.done(result.sizeBytes);
  const durationMs = performance.now() - startedMs;
  report.done(
    `${report.name(local)} → ${report.name(result.path)}: ${movedWords(result.sizeBytes, durationMs, result.resumedBytes)}; ` +
      copiesWords(result.copies),
    { event: 'uploaded', local, ...result, durationMs: Math.round(durationMs) },
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
