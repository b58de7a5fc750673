/** `client verify`: whether what is stored is what is here, by contents and without fetching them. */
import { HoldfastError, baseName, exitStatus, hasCode, joinPath } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import { Batch, unanswered } from '../batch.js';
import type { CommandContext, CommandSpec } from '../command.js';
import { remotePath } from '../flag-values.js';
import { nameOf } from '../local-tree.js';
import { excludeOption, excludeWords, excludedBy } from '../path-pattern.js';
import { type Progress, startProgress } from '../progress.js';
import { type Pair, pairsOf } from '../tree-pairs.js';
import { type LocalNode, type RemoteNode, localTop, localTree, remoteNode, remoteTree } from '../trees.js';
import { countWords, durationWords, sizeWords } from '../words.js';

export const verifyCommand: CommandSpec = {
  name: 'verify',
  synopsis: 'LOCAL REMOTE',
  describe: 'Check that what is stored is what is here, by contents, without fetching them',
  details:
    'Reads LOCAL and compares it with the sizes and digests of REMOTE; times and modes do not matter. A line for each ' +
    'difference: "<" is only LOCAL, ">" only REMOTE, "!" differs, "?" cannot be told by digests, as of a part of a ' +
    'chunk none is known; --fetch reads those bytes. A file is compared with the one of its name in REMOTE if that is ' +
    'a directory. Of a directory that is on one side only what is in it is not listed. Symbolic links are followed. ' +
    `${excludeWords} The status is 0 if all is the same, 1 if something differs, is missing or cannot be told, and ` +
    'another one for an error. With -q only the status says it.',
  options: {
    recursive: { type: 'boolean', alias: 'r', describe: 'Take directories with all that is in them' },
    fetch: { type: 'boolean', describe: 'Fetch the bytes of which no digest is known' },
    ...excludeOption,
  },
  examples: [
    ['verify big.iso /big.iso && rm big.iso', 'is it stored?'],
    ['verify -r photos /photos --json', 'a whole directory, for programs'],
  ],
  minPaths: 2,
  maxPaths: 2,
  run,
};

/** How a pair stands, and the mark of its line. */
const marks = { differs: '!', onlyLocal: '<', onlyRemote: '>', unknown: '?' } as const;
type Status = keyof typeof marks;
type Both = Pair<LocalNode, RemoteNode>;

async function run(context: CommandContext): Promise<number> {
  const { paths, flags, io, report, signal, connect } = context;
  const [local = '', remote = ''] = paths;
  const { path } = remotePath(remote);
  const isExcluded = excludedBy(flags);
  const left = await localTop(local);
  if (left.type === 'directory' && !flags.isSet('recursive')) throw needsRecursive(local);
  if (left.skipped !== undefined) throw new HoldfastError('INVALID_ARGUMENT', left.skipped);
  const client = await connect();
  const right = await remoteTop(client, path, left, local, signal);
  const trees = [localTree({ isExcluded }), remoteTree(client, signal, isExcluded)] as const;
  const isBoth = (pair: Both): boolean => pair.left?.type === 'directory' && pair.right?.type === 'directory';
  const progress = await startProgress(io, report.quiet || report.json, 'compared');
  const verify = new Verify(context, client, progress);
  const startedMs = performance.now();
  try {
    for await (const pair of pairsOf(...trees, { left, ...(right && { right }) }, isBoth))
      await verify.take(pair);
  } finally {
    progress.stop();
  }
  return verify.end(performance.now() - startedMs);
}

/** What LOCAL is compared with: a file with the one of its name, if REMOTE is a directory. */
async function remoteTop(
  client: HoldfastClient,
  path: string,
  left: LocalNode,
  local: string,
  signal: AbortSignal,
): Promise<RemoteNode | undefined> {
  const top = await client.stat(path, { signal });
  if (top.type !== 'directory' || left.type !== 'file') return remoteNode(top, []);
  try {
    return remoteNode(await client.stat(joinPath(path, nameOf(local)), { signal }), []);
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

class Verify {
  readonly #context: CommandContext;
  readonly #client: HoldfastClient;
  readonly #progress: Progress;
  readonly #batch: Batch;
  readonly #found: Record<Status, number> = { differs: 0, onlyLocal: 0, onlyRemote: 0, unknown: 0 };

  constructor(context: CommandContext, client: HoldfastClient, progress: Progress) {
    this.#context = context;
    this.#client = client;
    this.#progress = progress;
    this.#batch = new Batch(context.report, unanswered);
  }

  /** One pair. What cannot be read is reported, and the others go on. */
  async take(pair: Both): Promise<void> {
    const { left, right, unreadable } = pair;
    const path = ((left ?? right)?.names ?? []).join('/');
    await this.#batch.run({ path }, this.#context.signal, async () => {
      const error = unreadable ?? left?.error;
      if (error) throw error;
      if (left?.skipped !== undefined) return this.#batch.skip(left.skipped);
      if (!left || !right) return this.#tell(path, left ? 'onlyLocal' : 'onlyRemote', pair);
      if (left.type !== right.type) {
        return this.#tell(path, 'differs', pair, `a ${left.type} here, a ${right.type} there`);
      }
      if (left.type === 'file') await this.#compare(path, left, right);
    });
  }

  async #compare(path: string, left: LocalNode, right: RemoteNode): Promise<void> {
    const { flags, signal } = this.#context;
    const sizes = [left.sizeBytes, right.sizeBytes] as const;
    if (sizes[0] !== sizes[1]) {
      return this.#tell(path, 'differs', { left, right }, `${sizes[0]} bytes here, ${sizes[1]} there`);
    }
    this.#progress.expect(left.sizeBytes, 1);
    const comparison = await this.#client.compare(left.entry.path, right.entry, {
      fetch: flags.isSet('fetch'),
      signal,
    });
    this.#progress.moved(left.sizeBytes);
    this.#progress.fileDone();
    if (comparison === 'different') return this.#tell(path, 'differs', { left, right }, 'other bytes');
    if (comparison === 'unknown') {
      return this.#tell(
        path,
        'unknown',
        { left, right },
        'not all digests are known; --fetch reads the bytes',
      );
    }
    this.#batch.files += 1;
    this.#batch.bytes += left.sizeBytes;
  }

  #tell(path: string, status: Status, { left, right }: Both, why = ''): void {
    const { report, paths } = this.#context;
    this.#found[status] += 1;
    const node = left ?? right;
    const name = path === '' ? (left ? (paths[0] ?? '') : baseName(right?.entry.path ?? '')) : path;
    const shown = `${report.name(name)}${node?.type === 'directory' && path !== '' ? '/' : ''}`;
    report.done(`${marks[status]} ${shown}${why === '' ? '' : `: ${why}`}`, {
      ...{ event: status, path, ...(why !== '' && { why }) },
      ...(left && { local: { type: left.type, sizeBytes: left.sizeBytes } }),
      ...(right && { remote: right.entry }),
    });
  }

  /** The summary; the exit status. */
  end(durationMs: number): number {
    const { files: same, bytes, failed, skipped, exitStatus: status } = this.#batch;
    const { differs, onlyLocal, onlyRemote, unknown } = this.#found;
    const words = [
      `${countWords(same, 'file')} the same, ${sizeWords(bytes)}`,
      ...(differs > 0 ? [`${differs} differ`] : []),
      ...(onlyLocal > 0 ? [`${onlyLocal} only here`] : []),
      ...(onlyRemote > 0 ? [`${onlyRemote} only there`] : []),
      ...(unknown > 0 ? [`${unknown} not known`] : []),
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
    ];
    this.#context.report.done(`${words.join(', ')}, in ${durationWords(durationMs)}`, {
      ...{ event: 'summary', same, sizeBytes: bytes, ...this.#found, failed, skipped },
      durationMs: Math.round(durationMs),
    });
    if (status !== exitStatus.done) return status;
    return differs + onlyLocal + onlyRemote + unknown > 0 ? exitStatus.failed : exitStatus.done;
  }
}

function needsRecursive(local: string): HoldfastError {
  return new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(local)} is a directory`, {
    remedy: 'Use -r to compare it with all that is in it.',
  });
}
