/** `client append`: a local file or standard input at the end of a remote file. */
import { stat } from 'node:fs/promises';
import { HoldfastError, fromErrno, limits } from '@holdfast/shared';
import type { AppendOptions } from '../../upload/append.js';
import { type CommandContext, type CommandSpec, transferOptions } from '../command.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { startProgress } from '../progress.js';
import { copiesWords, durationWords, rateWords, sizeWords } from '../words.js';

export const appendCommand: CommandSpec = {
  name: 'append',
  synopsis: 'LOCAL REMOTE',
  describe: 'Store a local file at the end of a remote one',
  details:
    'Works like >>: REMOTE is made if it is missing. "-" is standard input. What is there already is not moved, the ' +
    'file shows the new length in one step, and the version before is in the trash. Others may append at the same ' +
    "time: each one's bytes stay together. Append in large pieces: each one makes the next dearer, and a file takes " +
    `no more once it has ${limits.maxExtentsToAppendTo} extents (one for each chunk and each append).`,
  options: {
    ...('concurrency' in transferOptions && { concurrency: transferOptions['concurrency'] }),
    'chunk-size': { type: 'string', requiresArg: true, describe: 'Longest chunk, 64KiB to 64MiB' },
    'must-exist': { type: 'boolean', describe: 'Make no file that is missing' },
    parents: { type: 'boolean', alias: 'p', describe: 'Make missing remote directories' },
  },
  examples: [
    ['append today.log /logs/all.log', 'a file'],
    ['make 2>&1 | client append - /logs/build.log', 'from a pipe'],
  ],
  minPaths: 2,
  maxPaths: 2,
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { paths, io, report, connect } = context;
  const [local = ''] = paths;
  const { path, asDirectory } = remotePath(paths[1] ?? '');
  if (asDirectory) {
    throw new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(paths[1])} names a directory`, {
      remedy: 'Name the file to append to, without a "/" at its end.',
    });
  }
  const options = await appendOptions(context);
  const sizeBytes = await sizeOf(local);
  const client = await connect();
  const startedMs = performance.now();
  const progress = await startProgress(io, report.quiet || report.json, 'appended');
  progress.expect(sizeBytes, 1);
  let appendedBytes = 0;
  const onProgress: AppendOptions['onProgress'] = ({ transferredBytes }) => {
    progress.moved(transferredBytes - appendedBytes);
    appendedBytes = transferredBytes;
  };
  try {
    const source = local === '-' ? io.stdin : local;
    const result = await client.append(source, path, { ...options, onProgress });
    const durationMs = performance.now() - startedMs;
    const rate = rateWords(appendedBytes, durationMs);
    report.done(
      `${report.name(local)} → ${report.name(path)}: ${sizeWords(appendedBytes)} in ` +
        `${durationWords(durationMs)}${rate === '' ? '' : ` (${rate})`}, now ${sizeWords(result.sizeBytes)}; ` +
        copiesWords(result.copies),
      { event: 'appended', local, ...result, appendedBytes, durationMs: Math.round(durationMs) },
    );
  } finally {
    progress.stop();
  }
  return 0;
}

/** For the progress; 0 for what is no file, as then nobody knows. */
async function sizeOf(local: string): Promise<number> {
  if (local === '-') return 0;
  try {
    const status = await stat(local);
    return status.isFile() ? status.size : 0;
  } catch (error) {
    throw fromErrno(error, `cannot read ${JSON.stringify(local)}`);
  }
}

async function appendOptions({ flags, report, signal }: CommandContext): Promise<AppendOptions> {
  const { parseSize } = await import('@holdfast/shared/program');
  const chunkSizeBytes = flagValue(flags, 'chunk-size', (text) => {
    const size = parseSize(text);
    if (size >= limits.minChunkSizeBytes && size <= limits.maxChunkSizeBytes) return size;
    throw new HoldfastError('INVALID_ARGUMENT', `expected 64KiB to 64MiB, not "${text}"`);
  });
  const concurrency = flagValue(flags, 'concurrency', wholeNumber(1, 64));
  let isWaiting = false;
  return {
    onWaiting: () => {
      if (!isWaiting) report.warn('there is no room now; waiting for that of deleted files to come back');
      isWaiting = true;
    },
    create: !flags.isSet('must-exist'),
    createParents: flags.isSet('parents'),
    signal,
    ...(chunkSizeBytes !== undefined && { chunkSizeBytes }),
    ...(concurrency !== undefined && { concurrency }),
  };
}
