/** `client upload`: files, directories and standard input into the cluster. */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { HoldfastError, fromErrno, joinPath, limits } from '@holdfast/shared';
import type { HoldfastClient, UploadSource } from '../../client.js';
import type { FileToUpload } from '../../upload/upload-many.js';
import type { Entry } from '../../ports/tracker-api.js';
import type { UploadOptions, UploadResult } from '../../upload/upload.js';
import { Batch, unanswered } from '../batch.js';
import { type CommandContext, type CommandSpec, dryRunOption, transferOptions } from '../command.js';
import { entryAt } from '../entries.js';
import { type RemotePath, flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { Beside } from '../../core/beside.js';
import { nameOf, walkLocal } from '../local-tree.js';
import { makeTop, noRemoteDirectory, notADirectory } from '../make-top.js';
import { excludeOption, excludeWords } from '../path-pattern.js';
import { type Amount, type Progress, expecting, movedOf, startProgress } from '../progress.js';
import { ResumableRun } from '../resumable-run.js';
import { resumeOptions, resumeTeller } from '../resume.js';
import { previewUploads } from '../transfer-preview.js';
import { type Source, leavesOf, walkOptions } from '../upload-tree.js';
import { stateDirectory } from '../../local/state-directory.js';
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
    'What was interrupted or killed the same command goes on with, for a day: of a large file (from 32 MiB) what is ' +
    'stored is not sent again; directories and several files go to the same place, past files that are there with the ' +
    'same size and time. ' +
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
  const names = paths.slice(0, -1);
  const target = remotePath(paths.at(-1) ?? '');
  const local = await Promise.all(names.map(statSource));
  for (const [index, status] of local.entries()) {
    if (status?.isDirectory() && !flags.isSet('recursive')) throw needsRecursive(names[index] ?? '');
  }
  const client = await context.connect();
  // With several files a failure is one of many; alone it is the command's.
  const many = names.length > 1 || local.some((status) => status?.isDirectory());
  const there = await targetDirectory(client, target, names, options, signal);
  const resumable = many ? await openRun(context, client, names, target) : undefined;
  const targetId = there && idOf(there);
  const taken = resumable ? resumable.takes(targetId) : there ? 'into' : 'as';
  const remoteOf = (source: string) => (taken === 'into' ? placeIn(target.path, source) : target.path);
  const sources = names.map((name, index) => ({ name, status: local[index], remote: remoteOf(name) }));
  if (flags.isSet('dry-run')) {
    await resumable?.preview();
    return previewUploads(context, client, sources, resumable);
  }
  const stopOn = [...unanswered, 'NOT_ENOUGH_KEEPERS', 'OUT_OF_SPACE'] as const;
  const batch = new Batch(report, stopOn);
  const progress = await startProgress(io, report.quiet || report.json, 'uploaded');
  const job: Job = { context, client, options, batch, progress };
  try {
    const [source] = sources;
    if (resumable) await uploadMany(job, resumable, sources, target);
    else if (source) await uploadFile(job, fileAt(job, source));
  } finally {
    progress.stop();
  }
  return batch.exitStatus;
}

function openRun(
  context: CommandContext,
  client: HoldfastClient,
  sources: readonly string[],
  target: RemotePath,
): Promise<ResumableRun> {
  return ResumableRun.open(context, client, {
    verb: 'upload',
    sources: sources.map((source) => [resolve(source), nameOf(source)]),
    target: target.path,
  });
}

/** What tells a remote directory from one that is made at the same path later. */
function idOf(directory: Entry | 'missing'): string {
  return directory === 'missing' ? directory : String(directory.createdAtUnixMs);
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
    resume: flags.isSet('resume') && (stateDirectory('uploads', io.env) ?? true),
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

/**
 * The directory that the sources go into, as cp decides it: one that is there, or that -p makes. Undefined if the one
 * source becomes the target.
 *
 * @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY
 */
async function targetDirectory(
  client: HoldfastClient,
  { path, asDirectory }: RemotePath,
  sources: readonly string[],
  { createParents }: UploadOptions,
  signal: AbortSignal,
): Promise<Entry | 'missing' | undefined> {
  const entry = await entryAt(client, path, signal);
  if (entry?.type === 'directory') return entry;
  if (!asDirectory && sources.length === 1) return undefined;
  if (entry) throw notADirectory(path);
  if (createParents === true) return 'missing';
  throw noRemoteDirectory(path, ', or use -p');
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

function fileAt({ context }: Job, { name, status, remote }: Source): LocalFile {
  return {
    ...{ local: name, path: remote, about: { local: name, path: remote }, startedMs: performance.now() },
    source: name === '-' ? context.io.stdin : name,
    sizeBytes: status?.isFile() ? status.size : 0,
  };
}

/** All files that the sources stand for, but those that an earlier run has left there. */
async function* filesOf(
  job: Job,
  resumable: ResumableRun,
  sources: readonly Source[],
): AsyncGenerator<LocalFile, void, undefined> {
  for (const source of sources) {
    if (source.status?.isDirectory()) yield* filesInTree(job, resumable, source);
    else if (!(await isFileThere(job, resumable, source))) yield fileAt(job, source);
  }
}

async function isFileThere(
  { client, context: { signal }, progress }: Job,
  resumable: ResumableRun,
  { name, remote }: Source,
): Promise<boolean> {
  if (!resumable.goesOn) return false;
  // What cannot be learnt is left to the upload to complain about.
  const there = await entryAt(client, remote, signal).catch(() => undefined);
  return resumable.isStored(name, there, progress);
}

/** The files of a directory; makes those directories in it that have none. */
async function* filesInTree(
  job: Job,
  resumable: ResumableRun,
  source: Source,
): AsyncGenerator<LocalFile, void, undefined> {
  const { batch, client, context, progress } = job;
  const { signal } = context;
  const making = new Beside();
  // What is there matters only to a run that goes on.
  const top = resumable.goesOn ? await client.stat(source.remote, { signal }) : undefined;
  for await (const { entry, node, there } of leavesOf(job, source, top)) {
    const { path: local, remote: path } = entry;
    const about = { local };
    if (entry.kind === 'directory') {
      await making.start(() =>
        batch.run(about, signal, async () => {
          await client.makeDirectory(path, { parents: true, signal });
        }),
      );
    } else if (!(await resumable.isThere(node, there, progress))) {
      const { sizeBytes } = entry;
      yield {
        ...{ local, source: local, path, sizeBytes, createParents: true },
        ...{ about, startedMs: performance.now() },
      };
    }
  }
  await making.ended();
}

/** How much the sources have, for whoever looks at the progress. @throws what ended it before all was counted */
async function amountOf(
  { flags }: CommandContext,
  sources: readonly Source[],
  signal: AbortSignal,
): Promise<Amount> {
  let [bytes, files] = [0, 0];
  for (const { name, status } of sources) {
    if (!status?.isDirectory()) {
      bytes += status?.isFile() ? status.size : 0;
      files += 1;
      continue;
    }
    for await (const entry of walkLocal(name, '/', walkOptions(flags))) {
      signal.throwIfAborted();
      if (entry.kind !== 'file') continue;
      bytes += entry.sizeBytes;
      files += 1;
    }
  }
  return { bytes, files };
}

async function uploadMany(
  job: Job,
  resumable: ResumableRun,
  sources: readonly Source[],
  target: RemotePath,
): Promise<void> {
  const { client, context, options, batch, progress } = job;
  const { signal } = context;
  const startedMs = performance.now();
  await resumable.begin(async () => {
    await makeTops(job, sources);
    return idOf((await entryAt(client, target.path, signal)) ?? 'missing');
  });
  const counting = new AbortController();
  progress.countAhead(() => amountOf(context, sources, counting.signal));
  try {
    const files = expecting(progress, filesOf(job, resumable, sources), ({ sizeBytes }) => sizeBytes);
    const outcomes = client.uploadMany(files, { ...options, onProgress: movedOf(progress) });
    for await (const { file, result, error } of outcomes) {
      await batch.run(file.about, signal, async () => {
        if (error) throw error;
        done(job, file, result);
      });
    }
  } catch (error) {
    progress.stop();
    await resumable.interrupted();
    throw error;
  } finally {
    counting.abort();
  }
  progress.stop();
  summary(job, resumable, performance.now() - startedMs);
  await resumable.end(batch.files, batch.failed);
}

/** The directories that whole trees go into. */
async function makeTops({ client, context, options }: Job, sources: readonly Source[]): Promise<void> {
  const { createParents = false } = options;
  for (const { status, remote } of sources) {
    if (!status?.isDirectory() || remote === '/') continue;
    await makeTop(client, remote, { createParents, signal: context.signal });
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

function summary({ context, batch }: Job, { unchanged }: ResumableRun, durationMs: number): void {
  const { files, bytes, failed, skipped } = batch;
  const extras = [
    ...(unchanged > 0 ? [`${unchanged} unchanged`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  context.report.done(
    [
      `uploaded ${countWords(files, 'file')}, ${sizeWords(bytes)} in ${durationWords(durationMs)}`,
      ...extras,
    ].join(', '),
    {
      event: 'summary',
      files,
      sizeBytes: bytes,
      unchanged,
      failed,
      skipped,
      durationMs: Math.round(durationMs),
    },
  );
}
