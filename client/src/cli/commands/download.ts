/** `client download`: files and directories out of the cluster. */
import type { Stats } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { sep } from 'node:path';
import { HoldfastError, baseName, errnoOf, fromErrno } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { FileToDownload } from '../../download/download-many.js';
import type { DownloadOptions, DownloadResult } from '../../download/download.js';
import type { Entry } from '../../ports/tracker-api.js';
import { Batch } from '../batch.js';
import {
  type CommandContext,
  type CommandSpec,
  dryRunWithoutLookOption,
  transferOptions,
} from '../command.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';
import { localPathIn } from '../local-names.js';
import { excludeOption, excludeWords, excludedBy } from '../path-pattern.js';
import { type Progress, movedOf, startProgress } from '../progress.js';
import { resumeOptions, resumeTeller, tellRest } from '../resume.js';
import { notExcluded, previewDownloads } from '../transfer-preview.js';
import { countWords, durationWords, movedWords, sizeWords } from '../words.js';
import { writeOut } from '../write-out.js';

export const downloadCommand: CommandSpec = {
  name: 'download',
  synopsis: 'REMOTE… LOCAL',
  describe: 'Fetch files from the cluster',
  details:
    'Works like cp: into LOCAL if that is a directory or ends with "/", else as LOCAL; several REMOTEs need a ' +
    'directory. "-" is standard output. A file appears whole or not at all, with its time and mode. ' +
    'Of a large file (from 32 MiB) whose download was interrupted or killed, the same command fetches the rest; of a ' +
    'directory "sync" does, which copies only what is missing. ' +
    `${globWords} ${excludeWords}`,
  options: { ...transferOptions, ...resumeOptions, ...excludeOption, ...dryRunWithoutLookOption },
  examples: [
    ['download /photos/cat.jpg .', 'into the current directory'],
    ['download /backup.tar - | tar x', 'to a pipe'],
    ['download -r /photos here', 'a directory with all that is in it'],
  ],
  minPaths: 2,
  maxPaths: Infinity,
  run,
};

interface Job {
  readonly context: CommandContext;
  readonly client: HoldfastClient;
  readonly options: DownloadOptions;
  readonly batch: Batch;
  readonly progress: Progress;
}

async function run(context: CommandContext): Promise<number> {
  const { paths, flags, io, report, signal } = context;
  const concurrency = flagValue(flags, 'concurrency', wholeNumber(1, 64));
  const overwrite = flags.isSet('force');
  const resume = flags.isSet('resume');
  const onResume = resumeTeller(report, 'fetched');
  const options = { overwrite, resume, onResume, signal, ...(concurrency !== undefined && { concurrency }) };
  const asked = paths.slice(0, -1).map(remotePath);
  const local = paths.at(-1) ?? '';
  if (local === '-') {
    report.keepStdoutForData();
    const client = await context.connect();
    const remotes = await expandGlobs(client, asked, signal);
    for (const { path } of remotes) await writeOut(client.createReadStream(path, { signal }), io.stdout);
    return 0;
  }
  const target = await statLocal(local);
  if (asked.length > 1 && !target?.isDirectory()) throw noDirectory(local, target);
  const client = await context.connect();
  const remotes = await expandGlobs(client, asked, signal);
  if (remotes.length > 1 && !target?.isDirectory()) throw noDirectory(local, target);
  const entries: Entry[] = [];
  for (const { path } of remotes) entries.push(await client.stat(path, { signal }));
  for (const [index, entry] of entries.entries())
    checkKind(entry, remotes[index]?.asDirectory, flags.isSet('recursive'));
  const placeOf = (entry: Entry): string => placeFor(entry, local, target);
  if (flags.isSet('dry-run')) return previewDownloads(context, client, entries, placeOf);
  const progress = await startProgress(io, report.quiet || report.json, 'downloaded');
  const batch = new Batch(report, ['OUT_OF_SPACE']);
  const job: Job = { context, client, options, batch, progress };
  const many = entries.length > 1 || entries.some(({ type }) => type === 'directory');
  const startedMs = performance.now();
  try {
    const [only] = entries;
    if (!many && only) await downloadFile(job, only, placeOf(only));
    else await downloadAll(job, filesOf(job, entries, placeOf));
  } catch (error) {
    if (signal.aborted) {
      const directories = entries.filter(({ type }) => type === 'directory');
      progress.stop();
      tellRest(
        report,
        io.program,
        directories.map((entry) => [`:${entry.path}`, placeOf(entry)]),
      );
    }
    throw error;
  } finally {
    progress.stop();
  }
  if (many) summary(job, performance.now() - startedMs);
  return batch.exitStatus;
}

async function statLocal(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fromErrno(error, `cannot write ${JSON.stringify(path)}`);
  }
}

function noDirectory(local: string, target: Stats | undefined): HoldfastError {
  const shown = JSON.stringify(local);
  if (target) {
    return new HoldfastError('NOT_A_DIRECTORY', `${shown} is a file, not a directory`, {
      remedy: 'Name a directory to put the files into.',
    });
  }
  return new HoldfastError('NOT_FOUND', `there is no local directory ${shown}`, { remedy: 'Make it first.' });
}

function checkKind(entry: Entry, asDirectory: boolean | undefined, recursive: boolean): void {
  const shown = JSON.stringify(entry.path);
  if (entry.type === 'file' && asDirectory === true) {
    throw new HoldfastError('NOT_A_DIRECTORY', `${shown} is a file, not a directory`, {
      remedy: 'Leave out the "/" at its end.',
    });
  }
  if (entry.type === 'directory' && !recursive) {
    throw new HoldfastError('IS_A_DIRECTORY', `${shown} is a directory`, {
      remedy: 'Use -r to download it with all that is in it.',
    });
  }
}

/** Where an entry goes, as cp decides it. */
function placeFor(entry: Entry, local: string, target: Stats | undefined): string {
  // What is in the root goes into the directory itself: the root has no name.
  if (target?.isDirectory()) return entry.path === '/' ? local : localPathIn(local, entry.path);
  const asDirectory = local.endsWith('/') || local.endsWith(sep);
  if (asDirectory && entry.type === 'file') throw noDirectory(local, target);
  return local;
}

/** The files that `entries` are or have below them, with their places. */
async function* filesOf(
  job: Job,
  entries: readonly Entry[],
  placeOf: (entry: Entry) => string,
): AsyncGenerator<FileToDownload, void, undefined> {
  for (const entry of entries) {
    const localPath = placeOf(entry);
    if (entry.type === 'directory') {
      await makeLocalDirectory(localPath);
      yield* walkRemote(job, entry.path, localPath);
    } else yield expected(job, entry, localPath);
  }
}

function expected({ progress }: Job, entry: Entry, localPath: string): FileToDownload {
  progress.expect(entry.sizeBytes, 1);
  return { entry, localPath };
}

async function downloadAll(job: Job, files: AsyncIterable<FileToDownload>): Promise<void> {
  const { client, context, batch } = job;
  for await (const outcome of client.downloadMany(files, withProgress(job))) {
    const { entry, localPath } = outcome.file;
    await batch.run({ path: entry.path, local: localPath }, context.signal, async () => {
      if (!outcome.result) throw outcome.error;
      downloaded(job, localPath, outcome.result, outcome.durationMs);
    });
  }
}

function withProgress({ options, progress }: Job): DownloadOptions {
  return { ...options, onProgress: movedOf(progress) };
}

/** The files below a remote directory, with their places; local directories are made on the way. */
async function* walkRemote(
  job: Job,
  remote: string,
  local: string,
  names: readonly string[] = [],
): AsyncGenerator<FileToDownload, void, undefined> {
  const { client, batch, context } = job;
  const { signal } = context;
  const entries = client.list(remote, { signal });
  for await (const entry of notExcluded(entries, names, excludedBy(context.flags))) {
    let to: string | undefined;
    await batch.run({ path: entry.path }, signal, async () => {
      const place = localPathIn(local, entry.path);
      if (entry.type === 'directory') await makeLocalDirectory(place);
      to = place;
    });
    if (to === undefined) continue;
    if (entry.type === 'directory') yield* walkRemote(job, entry.path, to, [...names, baseName(entry.path)]);
    else yield expected(job, entry, to);
  }
}

async function makeLocalDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const there = errnoOf(error) === 'EEXIST' ? await statLocal(path) : undefined;
    if (there?.isDirectory()) return;
    if (there) throw noDirectory(path, there);
    throw fromErrno(error, `cannot make the directory ${JSON.stringify(path)}`);
  }
}

async function downloadFile(job: Job, entry: Entry, to: string): Promise<void> {
  const startedMs = performance.now();
  expected(job, entry, to);
  const result = await job.client.download(entry, to, withProgress(job));
  downloaded(job, to, result, performance.now() - startedMs);
}

function downloaded(
  { batch, progress, context }: Job,
  to: string,
  result: DownloadResult,
  durationMs: number,
) {
  const { report } = context;
  progress.fileDone();
  batch.done(result.sizeBytes);
  report.done(
    `${report.name(result.path)} → ${report.name(to)}: ${movedWords(result.sizeBytes, durationMs, result.resumedBytes)}`,
    { event: 'downloaded', local: to, ...result, durationMs: Math.round(durationMs) },
  );
}

function summary({ context, batch }: Job, durationMs: number): void {
  const { files, bytes, failed } = batch;
  const words = `downloaded ${countWords(files, 'file')}, ${sizeWords(bytes)} in ${durationWords(durationMs)}`;
  context.report.done(failed > 0 ? `${words}, ${failed} failed` : words, {
    event: 'summary',
    files,
    sizeBytes: bytes,
    failed,
    durationMs: Math.round(durationMs),
  });
}
