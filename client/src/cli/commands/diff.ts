/** `client diff`: in what a local tree and a remote one differ. */
import { exitStatus } from '@holdfast/shared';
import { Batch } from '../batch.js';
import type { CommandContext, CommandSpec } from '../command.js';
import { type Difference, differencesOf } from '../differences.js';
import { remotePath } from '../flag-values.js';
import { excludeOption, excludeWords, excludedBy } from '../path-pattern.js';
import { checksumOption, sameContentBy } from '../same-content.js';
import { type Pair, pairsOf } from '../tree-pairs.js';
import {
  type LocalNode,
  type RemoteNode,
  type TreeNode,
  localTop,
  localTree,
  remoteNode,
  remoteTree,
} from '../trees.js';
import { timeWords } from '../words.js';

export const diffCommand: CommandSpec = {
  name: 'diff',
  synopsis: 'LOCAL REMOTE',
  describe: 'Show in what a local file or directory and a remote one differ',
  details:
    'A line for each difference: "<" is only LOCAL, ">" only REMOTE, "!" differs, and in what. Compared are sizes and ' +
    'times of modification in milliseconds, or contents with --checksum; modes are not. Of a directory that is on one side only what is in it is not ' +
    `listed. Symbolic links are followed. ${excludeWords} The status is 0 if nothing differs and 1 if something does.`,
  options: {
    recursive: {
      type: 'boolean',
      alias: 'r',
      describe: 'Is always so: directories with all that is in them',
    },
    ...checksumOption,
    ...excludeOption,
  },
  examples: [
    ['diff photos /photos', 'what a sync would change'],
    ["diff photos /photos --exclude '*.tmp' --json", 'for programs'],
  ],
  minPaths: 2,
  maxPaths: 2,
  run,
};

async function run(context: CommandContext): Promise<number> {
  const { paths, flags, report, signal, connect } = context;
  const [local = '', remote = ''] = paths;
  const { path } = remotePath(remote);
  const isExcluded = excludedBy(flags);
  const left = await localTop(local);
  const client = await connect();
  const right = remoteNode(await client.stat(path, { signal }), []);
  const batch = new Batch(report);
  const trees = [localTree({ isExcluded }), remoteTree(client, signal, isExcluded)] as const;
  const isSame = sameContentBy(context, client);
  let found = 0;
  const isBoth = (pair: Pair<LocalNode, RemoteNode>): boolean =>
    pair.left?.type === 'directory' && pair.right?.type === 'directory';
  for await (const pair of pairsOf(...trees, { left, right }, isBoth)) {
    const names = (pair.left ?? pair.right)?.names ?? [];
    await batch.run({ path: names.join('/') }, signal, async () => {
      const error = pair.unreadable ?? pair.left?.error;
      if (error) throw error;
      if (pair.left?.skipped !== undefined) return batch.skip(pair.left.skipped);
      const differences = pair.left && pair.right ? await differencesOf(pair.left, pair.right, isSame) : [];
      if (pair.left && pair.right && differences.length === 0) return;
      found += 1;
      tell(context, pair, differences);
    });
  }
  if (batch.exitStatus !== 0) return batch.exitStatus;
  return found > 0 ? exitStatus.failed : exitStatus.done;
}

function tell(
  { report, paths }: CommandContext,
  { left, right }: Pair<LocalNode, RemoteNode>,
  differences: readonly Difference[],
): void {
  const node = left ?? right;
  if (!node) return;
  const path = node.names.join('/');
  const shown = `${report.name(path === '' ? (paths[0] ?? '') : path)}${node.type === 'directory' && path !== '' ? '/' : ''}`;
  const status = left && right ? 'differs' : left ? 'onlyLocal' : 'onlyRemote';
  const why = left && right ? `: ${differences.map((one) => whyWords(one, left, right)).join(', ')}` : '';
  report.result(`${marks[status]} ${shown}${why}`, {
    ...{ path, status, differences },
    ...(left && { local: facts(left) }),
    ...(right && { remote: facts(right) }),
  });
}

const marks = { differs: '!', onlyLocal: '<', onlyRemote: '>' } as const;

function whyWords(difference: Difference, left: TreeNode, right: TreeNode): string {
  if (difference === 'type') return `a ${left.type} here, a ${right.type} there`;
  if (difference === 'size') return `${left.sizeBytes} bytes here, ${right.sizeBytes} there`;
  if (difference === 'content') return 'other bytes';
  const [here, there] = [left.modifiedAtUnixMs, right.modifiedAtUnixMs].map(timeWords);
  if (here !== there) return `of ${here} here, of ${there} there`;
  return `${Math.abs(left.modifiedAtUnixMs - right.modifiedAtUnixMs)} ms apart`;
}

function facts({ type, sizeBytes, modifiedAtUnixMs }: TreeNode): object {
  return type === 'file' ? { type, sizeBytes, modifiedAtUnixMs } : { type };
}
