/** Local and remote trees in the same words, so that they can be compared. */
import { type HoldfastError, baseName, hasCode } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import type { Entry } from '../ports/tracker-api.js';
import { type LocalEntry, type WalkOptions, localEntryAt, openLocal } from './local-tree.js';
import type { IsExcluded } from './path-pattern.js';
import type { Tree } from './tree-pairs.js';

/** An entry of either kind of tree. */
export interface TreeNode {
  /** From the top of its tree down; none for the top itself. */
  readonly names: readonly string[];
  /** 'other': it is there, and no more can be done with it. */
  readonly type: 'file' | 'directory' | 'other';
  /** Bytes; 0 for what is no file. */
  readonly sizeBytes: number;
  /** In milliseconds since 1970; 0 for what is no file. */
  readonly modifiedAtUnixMs: number;
  /** Of 'other': why it is left out, or the error that keeps it from being known. */
  readonly skipped?: string;
  readonly error?: HoldfastError;
}

export interface LocalNode extends TreeNode {
  readonly entry: LocalEntry;
}

export interface RemoteNode extends TreeNode {
  readonly entry: Entry;
}

const noFile = { sizeBytes: 0, modifiedAtUnixMs: 0 };

/** A local file or directory as the top of a tree. @throws HoldfastError NOT_FOUND … */
export async function localTop(path: string): Promise<LocalNode> {
  const entry = await localEntryAt(path);
  if (entry.kind === 'failed') throw entry.error;
  return localNode(entry, []);
}

export function localTree(options: WalkOptions = {}): Tree<LocalNode> {
  const { isExcluded } = options;
  return {
    open: async ({ names, entry }) =>
      nodesOf(entry.kind === 'directory' ? await openLocal(entry, options) : [], names),
  };

  async function* nodesOf(
    entries: AsyncIterable<LocalEntry> | readonly LocalEntry[],
    names: readonly string[],
  ): AsyncGenerator<LocalNode, void, undefined> {
    for await (const entry of entries) {
      const node = localNode(entry, [...names, baseName(entry.remote)]);
      if (isExcluded?.(node.names, node.type === 'directory') !== true) yield node;
    }
  }
}

export function localNode(entry: LocalEntry, names: readonly string[]): LocalNode {
  if (entry.kind === 'directory') return { names, type: 'directory', ...noFile, entry };
  if (entry.kind === 'skipped') return { names, type: 'other', ...noFile, entry, skipped: entry.why };
  if (entry.kind === 'failed') return { names, type: 'other', ...noFile, entry, error: entry.error };
  const { sizeBytes, modifiedAtUnixMs } = entry;
  return { names, type: 'file', sizeBytes, modifiedAtUnixMs, entry };
}

/** A directory below the top that goes while it is looked into was empty. */
export function remoteTree(
  client: HoldfastClient,
  signal: AbortSignal,
  isExcluded?: IsExcluded,
): Tree<RemoteNode> {
  return {
    open: async ({ names, entry }) => nodesOf(client.list(entry.path, { signal }), names),
  };

  async function* nodesOf(
    entries: AsyncIterable<Entry>,
    names: readonly string[],
  ): AsyncGenerator<RemoteNode, void, undefined> {
    try {
      for await (const entry of entries) {
        const node = remoteNode(entry, [...names, baseName(entry.path)]);
        if (isExcluded?.(node.names, node.type === 'directory') !== true) yield node;
      }
    } catch (error) {
      if (names.length === 0 || !hasCode(error, 'NOT_FOUND', 'NOT_A_DIRECTORY')) throw error;
    }
  }
}

export function remoteNode(entry: Entry, names: readonly string[]): RemoteNode {
  const { type, sizeBytes } = entry;
  if (type === 'directory') return { names, type, ...noFile, entry };
  return { names, type, sizeBytes, modifiedAtUnixMs: modifiedAtOf(entry), entry };
}

/** With the time that its node has, so that what is fetched is found to be the same afterwards. */
export function dated(entry: Entry): Entry {
  return { ...entry, attributes: { ...entry.attributes, modifiedAtUnixMs: modifiedAtOf(entry) } };
}

/** A file whose uploader gave no time is as old as its version. */
function modifiedAtOf({ attributes, createdAtUnixMs }: Entry): number {
  return attributes.modifiedAtUnixMs ?? createdAtUnixMs;
}
