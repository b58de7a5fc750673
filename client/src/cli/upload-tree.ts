/** The local trees that `upload` is given: walked alike for a run and for its --dry-run. */
import type { Stats } from 'node:fs';
import type { HoldfastClient } from '../client.js';
import type { Entry } from '../ports/tracker-api.js';
import type { Batch } from './batch.js';
import type { CommandContext, Flags } from './command.js';
import type { LocalDirectory, LocalFile, WalkOptions } from './local-tree.js';
import { excludedBy } from './path-pattern.js';
import { type Pair, pairsOf } from './tree-pairs.js';
import { type LocalNode, type RemoteNode, localNode, localTree, remoteNode, remoteTree } from './trees.js';

/** What is to be uploaded, as it was named. */
export interface Source {
  readonly name: string;
  /** None of standard input. */
  readonly status: Stats | undefined;
  readonly remote: string;
}

/** A file, or a directory in which there is none. */
export interface Leaf {
  readonly entry: LocalFile | LocalDirectory;
  readonly node: LocalNode;
  /** What is in its place, as far as that is looked at. */
  readonly there: RemoteNode | undefined;
  /** The remote file that is where one of its directories would be. */
  readonly fileInTheWay: string | undefined;
}

export function walkOptions(flags: Flags): WalkOptions {
  return { skipLinks: flags.isSet('skip-links'), isExcluded: excludedBy(flags) };
}

/**
 * The leaves of a directory; of what cannot be taken along the batch is told.
 *
 * @param there what is in the place of the whole; undefined if that does not matter
 */
export async function* leavesOf(
  {
    batch,
    client,
    context: { signal, flags },
  }: { readonly batch: Batch; readonly client: HoldfastClient; readonly context: CommandContext },
  { name, remote }: Source,
  there: Entry | undefined,
): AsyncGenerator<Leaf, void, undefined> {
  /** The last directory, as long as nothing was met in it: what goes into a directory makes it. */
  let bare: Leaf | undefined;
  let fileInTheWay: string | undefined;
  const left = localNode({ kind: 'directory', path: name, remote, holders: [] }, []);
  const trees = [localTree(walkOptions(flags)), remoteTree(client, signal)] as const;
  const top = { left, ...(there && { right: remoteNode(there, []) }) };
  const isInSource = (pair: Pair<LocalNode, RemoteNode>): boolean => pair.left?.type === 'directory';
  for await (const { left: node, right, unreadable } of pairsOf(...trees, top, isInSource)) {
    const error = unreadable ?? node?.error;
    if (!node || (node === left && !error)) continue;
    const { entry } = node;
    if (error) await batch.run({ local: entry.path }, signal, () => Promise.reject(error));
    else if (entry.kind === 'skipped') batch.skip(entry.why);
    else if (entry.kind !== 'failed') {
      if (bare && !isBelow(entry, bare.entry.remote)) yield bare;
      if (fileInTheWay !== undefined && !isBelow(entry, fileInTheWay)) fileInTheWay = undefined;
      const leaf = { entry, node, there: right, fileInTheWay };
      bare = entry.kind === 'directory' ? leaf : undefined;
      if (entry.kind === 'file') yield leaf;
      else if (right && right.type !== 'directory') fileInTheWay = entry.remote;
    }
  }
  if (bare) yield bare;
}

function isBelow({ remote }: Leaf['entry'], directory: string): boolean {
  return remote.startsWith(`${directory}/`);
}
