/**
 * Where a file of an upload is to be shown, and whether it may. Asked twice: by BeginUpload, so that nobody sends bytes
 * in vain, and by the commit, which decides.
 */
import {
  type DeepestParent,
  type EntryRow,
  type Names,
  checkExpected,
  child,
  deepestParent,
  isADirectory,
  missingParent,
  pathOf,
} from '../namespace/resolve.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';

export interface Wanted {
  readonly names: Names;
  readonly expectedVersion: number | undefined;
  /** The version that must be there, to go on from. */
  readonly appendToVersion?: number | undefined;
  readonly createParents: boolean;
}

export interface Target {
  readonly parent: DeepestParent;
  /** What is there: a file that may be replaced, or nothing. */
  readonly shown: EntryRow | undefined;
}

/** Directories that a transaction has met, by their paths: while it runs nothing takes one away. */
export type KnownParents = Map<string, number>;

/**
 * Changes nothing.
 *
 * @param known spares the files of one directory the way to it
 * @throws HoldfastError ALREADY_EXISTS, IS_A_DIRECTORY, NOT_A_DIRECTORY, NOT_FOUND for a missing parent,
 *   VERSION_CONFLICT
 */
export async function findTarget(
  snapshot: MetadataSnapshot,
  { names, expectedVersion, appendToVersion, createParents }: Wanted,
  known: KnownParents = new Map(),
): Promise<Target> {
  if (names.length === 0) throw isADirectory('/');
  const directoryId = known.get(pathOf(names.slice(0, -1)));
  const parent =
    directoryId === undefined
      ? await deepestParent(snapshot, names)
      : { directoryId, depth: names.length - 1 };
  const hasParent = parent.depth === names.length - 1;
  if (!hasParent && !createParents) throw missingParent(names, parent);
  const shown = hasParent ? await child(snapshot, parent.directoryId, names.at(-1) ?? '') : undefined;
  checkExpected(pathOf(names), shown, appendToVersion ?? expectedVersion);
  return { parent, shown };
}
