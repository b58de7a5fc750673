/** `client sync`: makes one directory like another, one of them local and one remote. */
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { DownloadOptions } from '../../download/download.js';
import type { UploadManyOptions } from '../../upload/upload-many.js';
import { Batch, unanswered } from '../batch.js';
import { type CommandContext, type CommandSpec, dryRunOption } from '../command.js';
import { flagValue, isMarkedRemote, remotePath, wholeNumber } from '../flag-values.js';
import { excludeOption, excludeWords, excludedBy } from '../path-pattern.js';
import { startProgress } from '../progress.js';
import { checksumOption, sameContentBy } from '../same-content.js';
import { LocalSide, RemoteSide } from '../sync-sides.js';
import { type CopyFiles, Sync } from '../sync.js';
import { type LocalNode, type RemoteNode, dated } from '../trees.js';
import { countWords, durationWords, sizeWords } from '../words.js';

/** What would fail every other file too. */
const stopUploadsOn = [...unanswered, 'NOT_ENOUGH_KEEPERS', 'OUT_OF_SPACE'] as const;
const stopDownloadsOn = [...unanswered, 'OUT_OF_SPACE'] as const;

export const syncCommand: CommandSpec = {
  name: 'sync',
  synopsis: 'SOURCE DESTINATION',
  describe: 'Make a directory like another: copy what differs, from here to the cluster or back',
  details:
    'One of the two is remote and written with a colon before it: ":/photos". What is in SOURCE goes into ' +
    'DESTINATION, which is made if it is missing. Files are copied that are missing there, or differ in size or time of ' +
    'modification; modes are not compared. What is only at DESTINATION stays, unless --delete is given; that removes ' +
    'it when all else is done, and removes nothing if a part of SOURCE could not be read. What is excluded is neither ' +
    `copied nor removed. ${excludeWords} Each change is a line: "+" new, "~" replaced, "-" removed. Symbolic links are ` +
    'followed. A file that changes while it is sent is reported, and the rest goes on.',
  options: {
    delete: { type: 'boolean', describe: 'Remove from DESTINATION what is not at SOURCE' },
    ...dryRunOption,
    ...checksumOption,
    ...excludeOption,
    concurrency: {
      type: 'string',
      requiresArg: true,
      describe: 'Chunks of a file that are sent or fetched at once, 1 to 64',
      defaultDescription: '3 up, 4 down',
    },
  },
  examples: [
    ['sync photos :/photos', 'from here to the cluster'],
    ['sync :/photos photos --delete --dry-run', 'what would have to change here'],
    ["sync . :/site --exclude node_modules/ --exclude '*.tmp'", 'without some parts'],
  ],
  minPaths: 2,
  maxPaths: 2,
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { paths, flags, io, report, signal } = context;
  const [from = '', to = ''] = paths;
  const isUp = checkSides(from, to);
  const remote = remotePath(isUp ? to : from).path;
  const concurrency = flagValue(flags, 'concurrency', wholeNumber(1, 64));
  const dryRun = flags.isSet('dry-run');
  const choices = { dryRun, mayDelete: flags.isSet('delete'), isExcluded: excludedBy(flags) };
  const client = await context.connect();
  const local = new LocalSide(isUp ? from : to);
  const there = new RemoteSide(client, remote, signal);
  const batch = new Batch(report, isUp ? stopUploadsOn : stopDownloadsOn);
  const progress = await startProgress(io, report.quiet || report.json || dryRun, 'copied');
  const options = { ...choices, batch, progress, report, signal };
  const transfer = { overwrite: true, signal, ...(concurrency !== undefined && { concurrency }) };
  const isSame = sameContentBy(context, client);
  const isSameDown =
    isSame && ((remoteFile: RemoteNode, localFile: LocalNode) => isSame(localFile, remoteFile));
  const sync = isUp
    ? new Sync(local, there, { ...options, sameContent: isSame, copyFiles: uploads(client, transfer) })
    : new Sync(there, local, { ...options, sameContent: isSameDown, copyFiles: downloads(client, transfer) });
  const startedMs = performance.now();
  try {
    await sync.run();
  } finally {
    progress.stop();
  }
  summary(context, batch, sync, performance.now() - startedMs);
  return batch.exitStatus;
}

/**
 * Whether the remote side is the destination.
 *
 * @throws HoldfastError INVALID_ARGUMENT unless exactly one of the two is remote
 */
function checkSides(from: string, to: string): boolean {
  const isUp = isMarkedRemote(to);
  if (isUp !== isMarkedRemote(from)) return isUp;
  throw new HoldfastError('INVALID_ARGUMENT', `${isUp ? 'both' : 'none'} of the two is remote`, {
    remedy: isUp
      ? 'Copy within the cluster with `client cp`.'
      : 'Write a colon before the remote one, as in `client sync photos :/photos`.',
  });
}

function uploads(client: HoldfastClient, options: UploadManyOptions): CopyFiles<LocalNode> {
  return async function* copyUp(files, onProgress) {
    const sources = mapped(files, (file) => ({ file, source: file.source.entry.path, path: file.to }));
    const outcomes = client.uploadMany(sources, { ...options, createParents: true, onProgress });
    for await (const { file, ...what } of outcomes) yield { file: file.file, ...what };
  };
}

function downloads(client: HoldfastClient, options: DownloadOptions): CopyFiles<RemoteNode> {
  return async function* copyDown(files, onProgress) {
    const sources = mapped(files, (file) => ({ file, entry: dated(file.source.entry), localPath: file.to }));
    const outcomes = client.downloadMany(sources, { ...options, onProgress });
    for await (const { file, ...what } of outcomes) yield { file: file.file, ...what };
  };
}

async function* mapped<T, U>(
  items: AsyncIterable<T>,
  to: (item: T) => U,
): AsyncGenerator<U, void, undefined> {
  for await (const item of items) yield to(item);
}

function summary(
  { flags, report }: CommandContext,
  { files, bytes, failed, skipped }: Batch,
  { unchanged, removed }: { readonly unchanged: number; readonly removed: number },
  durationMs: number,
): void {
  const dryRun = flags.isSet('dry-run');
  const words = [
    `${dryRun ? 'would copy' : 'copied'} ${countWords(files, 'file')}, ${sizeWords(bytes)}`,
    ...(removed > 0 ? [`${dryRun ? 'would remove' : 'removed'} ${removed}`] : []),
    `${unchanged} unchanged`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  report.done(`${words.join(', ')} in ${durationWords(durationMs)}`, {
    event: 'summary',
    ...{ files, sizeBytes: bytes, removed, unchanged, failed, skipped },
    durationMs: Math.round(durationMs),
    ...(dryRun && { dryRun }),
  });
}
