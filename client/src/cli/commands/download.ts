/** `client download`: files and directories out of the cluster. */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { FileToDownload } from '../../download/download-many.js';
import type { DownloadOptions, DownloadResult } from '../../download/download.js';
import type { Entry } from '../../ports/tracker-api.js';
import { Batch } from '../batch.js';
import { type CommandContext, type CommandSpec, dryRunOption, transferOptions } from '../command.js';
import { makeLocalDirectory, noDirectory, statLocal, walkRemote } from '../download-tree.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';
import { localPathIn } from '../local-names.js';
import { excludeOption, excludeWords } from '../path-pattern.js';
import { type Progress, expecting, movedOf, startProgress } from '../progress.js';
import { ResumableRun } from '../resumable-run.js';
import { resumeOptions, resumeTeller } from '../resume.js';
import { previewDownloads } from '../transfer-preview.js';
import { dated } from '../trees.js';
import { countWords, durationWords, movedWords, sizeWords } from '../words.js';
import { writeOut } from '../write-out.js';

export const downloadCommand: CommandSpec = {
  name: 'download',
  synopsis: 'REMOTE… LOCAL',
  describe: 'Fetch files from the cluster',
  details:
    'Works like cp: into LOCAL if that is a directory or ends with "/", else as LOCAL; several REMOTEs need a ' +
    'directory. "-" is standard output. A file appears whole or not at all, with its time and mode. ' +
    'What was interrupted or killed the same command goes on with: of a large file (from 32 MiB) it fetches the rest; ' +
    'directories and several files go, for a day, to the same place, past files that are there with the same size and ' +
    'time. ' +
    `${globWords} ${excludeWords}`,
  options: { ...transferOptions, ...resumeOptions, ...excludeOption, ...dryRunOption },
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
    for (const { path } of remotes) await writeOut(context, path, client.createReadStream(path, { signal }));
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
  const many = entries.length > 1 || entries.some(({ type }) => type === 'directory');
  const resumable = many ? await openRun(context, client, entries, local) : undefined;
  const targetId = target?.isDirectory() === true ? idOf(target) : undefined;
  const taken = resumable ? resumable.takes(targetId) : targetId === undefined ? 'as' : 'into';
  const places = entries.map((entry) => ({
    entry,
    localPath: placeFor(entry, local, target, taken === 'into'),
  }));
  if (flags.isSet('dry-run')) {
    await resumable?.preview();
    return previewDownloads(context, client, places, resumable);
  }
  const progress = await startProgress(io, report.quiet || report.json, 'downloaded');
  const batch = new Batch(report, ['OUT_OF_SPACE']);
  const job: Job = { context, client, options, batch, progress };
  try {
    const [only] = places;
    if (resumable) await downloadMany(job, resumable, places, local);
    else if (only) await downloadFile(job, only);
  } finally {
    progress.stop();
  }
  return batch.exitStatus;
}

/** The entries that patterns stand for, and no patterns: with other entries it is another command. */
function openRun(
  context: CommandContext,
  client: HoldfastClient,
  entries: readonly Entry[],
  local: string,
): Promise<ResumableRun> {
  const sources = entries.map(({ path }) => path);
  return ResumableRun.open(context, client, { verb: 'download', sources, target: resolve(local) });
}

/** What tells a local directory from one that is made at the same path later. */
function idOf({ ino, birthtimeMs }: Stats): string {
  return `${ino} ${birthtimeMs}`;
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
function placeFor(entry: Entry, local: string, target: Stats | undefined, intoDirectory: boolean): string {
  // What is in the root goes into the directory itself: the root has no name.
  if (intoDirectory) return entry.path === '/' ? local : localPathIn(local, entry.path);
  if (endsLikeDirectory(local) && entry.type === 'file') throw noDirectory(local, target);
  return local;
}

function endsLikeDirectory(local: string): boolean {
  return local.endsWith('/') || local.endsWith(sep);
}

/** The files that `places` are or have below them, but those that an earlier run has left there. */
async function* filesOf(
  job: Job,
  resumable: ResumableRun,
  places: readonly FileToDownload[],
): AsyncGenerator<FileToDownload, void, undefined> {
  const walk = { ...job, makeDirectory: makeLocalDirectory };
  for (const place of places) {
    const { entry, localPath } = place;
    for await (const file of entry.type === 'directory' ? walkRemote(walk, entry.path, localPath) : [place]) {
      if (!(await resumable.isFetched(file, job.progress))) yield { ...file, entry: dated(file.entry) };
    }
  }
}

async function downloadMany(
  job: Job,
  resumable: ResumableRun,
  places: readonly FileToDownload[],
  target: string,
): Promise<void> {
  const { client, context, batch, progress } = job;
  const startedMs = performance.now();
  await resumable.begin(async () => {
    await makeTops(places);
    return idOf(await stat(target));
  });
  try {
    const files = expecting(progress, filesOf(job, resumable, places), ({ entry }) => entry.sizeBytes);
    for await (const outcome of client.downloadMany(files, withProgress(job))) {
      const { entry, localPath } = outcome.file;
      await batch.run({ path: entry.path, local: localPath }, context.signal, async () => {
        if (!outcome.result) throw outcome.error;
        downloaded(job, localPath, outcome.result, outcome.durationMs);
      });
    }
  } catch (error) {
    progress.stop();
    await resumable.interrupted();
    throw error;
  }
  progress.stop();
  summary(job, resumable, performance.now() - startedMs);
  await resumable.end(batch.files, batch.failed);
}

/** The directories that whole trees go into. */
async function makeTops(places: readonly FileToDownload[]): Promise<void> {
  for (const { entry, localPath } of places) {
    if (entry.type === 'directory') await makeLocalDirectory(localPath);
  }
}

function withProgress({ options, progress }: Job): DownloadOptions {
  return { ...options, onProgress: movedOf(progress) };
}

async function downloadFile(job: Job, { entry, localPath }: FileToDownload): Promise<void> {
  const startedMs = performance.now();
  job.progress.expect(entry.sizeBytes, 1);
  const result = await job.client.download(dated(entry), localPath, withProgress(job));
  downloaded(job, localPath, result, performance.now() - startedMs);
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

function summary({ context, batch }: Job, { unchanged }: ResumableRun, durationMs: number): void {
  const { files, bytes, failed } = batch;
  const words = [
    `downloaded ${countWords(files, 'file')}, ${sizeWords(bytes)} in ${durationWords(durationMs)}`,
    ...(unchanged > 0 ? [`${unchanged} unchanged`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ];
  context.report.done(words.join(', '), {
    event: 'summary',
    files,
    sizeBytes: bytes,
    unchanged,
    failed,
    durationMs: Math.round(durationMs),
  });
}
