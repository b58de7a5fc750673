/** The namespace calls: checked paths in, checked answers out, retries in between. */
import { HoldfastError, hasCode, parentPath, splitPath } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { nonsense } from '../core/nonsense.js';
import { type Page, compareBytes, pagesOf } from '../core/pages.js';
import { asking, mutating } from '../core/retrying.js';
import type { ClusterStatus } from '../ports/cluster-status.js';
import type { Entry } from '../ports/tracker-api.js';

type Tools = Pick<ClientContext, 'tracker' | 'clock' | 'random'>;

export interface CallSignal {
  /** Cancels the call. A mutation that was cancelled may have happened. */
  readonly signal?: AbortSignal | undefined;
}

export interface MoveOptions extends CallSignal {
  /** Whether a file, or an empty directory, at the destination may be replaced. Default false. */
  readonly overwrite?: boolean;
  /** Replaces only a file at exactly this version. */
  readonly expectedVersion?: number;
}

export interface CopyOptions extends CallSignal {
  /** Whether a file at the destination may be replaced. Default false. */
  readonly overwrite?: boolean;
  /** Replaces only exactly this version. */
  readonly expectedVersion?: number;
}

export interface ListOptions extends CallSignal {
  /** How many levels: 1, the default, for what is in the directory itself; Infinity for all that is below it. */
  readonly depth?: number;
}

export interface RemoveOptions extends CallSignal {
  /** Removes a directory with all that is below it. Default false. */
  readonly recursive?: boolean;
  /** Removes only a file at exactly this version. */
  readonly expectedVersion?: number;
}

export interface MakeDirectoryOptions extends CallSignal {
  /** Makes missing parents too, and is content with a directory that exists. Default false. */
  readonly parents?: boolean;
}

export async function stat(tools: Tools, path: string, { signal }: CallSignal = {}): Promise<Entry> {
  splitPath(path);
  return asking(tools, signal, () => tools.tracker.getEntry(path, { signal }));
}

/**
 * The entries of a directory in byte order of their names, and with a `depth` those below, each directory before what
 * is in it. A page of each level is in memory, however many entries there are. What goes while it is listed may be
 * in it or not.
 */
export async function* list(
  tools: Tools,
  path: string,
  { depth = 1, signal }: ListOptions = {},
): AsyncGenerator<Entry, void, undefined> {
  if (!(depth >= 1)) {
    throw new HoldfastError('INVALID_ARGUMENT', `depth must be at least 1, not ${depth}`);
  }
  const levels = [listDirectory(tools, path, signal)];
  for (let level = levels.at(-1); level; level = levels.at(-1)) {
    const entry = await nextThere(level, levels.length > 1);
    if (!entry) {
      levels.pop();
      continue;
    }
    yield entry;
    if (entry.type === 'directory' && levels.length < depth) {
      levels.push(listDirectory(tools, entry.path, signal));
    }
  }
}

/** The next entry; none, too, of a directory that has gone since its parent was listed. */
async function nextThere(
  level: AsyncGenerator<Entry, void, undefined>,
  mayBeGone: boolean,
): Promise<Entry | undefined> {
  try {
    return (await level.next()).value ?? undefined;
  } catch (error) {
    if (mayBeGone && hasCode(error, 'NOT_FOUND', 'NOT_A_DIRECTORY')) return undefined;
    throw error;
  }
}

/** A page at a time. */
async function* listDirectory(
  tools: Tools,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Entry, void, undefined> {
  splitPath(path);
  const page = async (token: string): Promise<Page<Entry>> => {
    const { entries, nextPageToken } = await asking(tools, signal, () =>
      tools.tracker.listEntries(path, token, { signal }),
    );
    for (const entry of entries) checkIsIn(path, entry);
    return { items: entries, nextPageToken };
  };
  const nameOf = (entry: Entry): string => JSON.stringify(entry.path);
  yield* pagesOf('ListEntries', page, nameOf, (last, next) => compareBytes(last.path, next.path));
}

export async function move(tools: Tools, source: string, destination: string, options: MoveOptions = {}) {
  splitPath(source);
  splitPath(destination);
  const { signal, overwrite = false, expectedVersion = overwrite ? undefined : 0 } = options;
  const request = { sourcePath: source, destinationPath: destination, expectedVersion };
  return mutating(tools, signal, (requestId) =>
    tools.tracker.moveEntry({ ...request, requestId }, { signal }),
  );
}

export async function copy(tools: Tools, source: string, destination: string, options: CopyOptions = {}) {
  splitPath(source);
  splitPath(destination);
  const { signal, overwrite = false, expectedVersion = overwrite ? undefined : 0 } = options;
  const request = { sourcePath: source, destinationPath: destination, expectedVersion };
  return mutating(tools, signal, (requestId) =>
    tools.tracker.copyEntry({ ...request, requestId }, { signal }),
  );
}

/** Resolves to the number of entries that went. */
export async function remove(tools: Tools, path: string, options: RemoveOptions = {}): Promise<number> {
  if (splitPath(path).length === 0) {
    throw new HoldfastError('INVALID_ARGUMENT', '"/" cannot be removed', { remedy: 'Remove what is in it.' });
  }
  const { signal, recursive = false, expectedVersion } = options;
  const request = { path, recursive, expectedVersion };
  return mutating(tools, signal, (requestId) =>
    tools.tracker.deleteEntry({ ...request, requestId }, { signal }),
  );
}

export async function makeDirectory(tools: Tools, path: string, options: MakeDirectoryOptions = {}) {
  splitPath(path);
  const { signal, parents = false } = options;
  return mutating(tools, signal, (requestId) =>
    tools.tracker.createDirectory({ path, parents, requestId }, { signal }),
  );
}

export async function status(tools: Tools, { signal }: CallSignal = {}): Promise<ClusterStatus> {
  return asking(tools, signal, () => tools.tracker.clusterStatus({ signal }));
}

/** An entry that is not in the directory could lead a caller astray. */
function checkIsIn(directory: string, { path }: Entry): void {
  if (splitPath(path).length > 0 && parentPath(path) === directory) return;
  throw nonsense('ListEntries', `${JSON.stringify(path)} in ${JSON.stringify(directory)}`);
}
