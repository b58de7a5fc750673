/** What was deleted or replaced: listing it, bringing it back, giving it up. */
import { hasCode, splitPath } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { nonsense } from '../core/nonsense.js';
import { type Page, compareBytes, pagesOf } from '../core/pages.js';
import { asking, mutating } from '../core/retrying.js';
import type { Entry, TrashSummary, TrashedVersion } from '../ports/tracker-api.js';
import type { CallSignal } from './namespace.js';

type Tools = Pick<ClientContext, 'tracker' | 'clock' | 'random'>;

/** As long as calls are repeated: the tracker first takes deleted trees apart, some 10,000 files a second. */
const deadlineMs = 60_000;

export interface RestoreOptions extends CallSignal {
  /** Which version; default: the one that left the path last. */
  readonly version?: number;
  /** Where to; default: where it was. */
  readonly to?: string;
  /** Whether a file there may be replaced; it goes to the trash then. Default false. */
  readonly overwrite?: boolean;
  /** Replaces only a file at exactly this version. */
  readonly expectedVersion?: number;
}

/** What can be restored at and below a path: in byte order of the paths, of each the one that left it last first. */
export async function* listTrash(
  tools: Tools,
  path: string,
  { signal }: CallSignal = {},
): AsyncGenerator<TrashedVersion, void, undefined> {
  const names = splitPath(path);
  const page = async (token: string): Promise<Page<TrashedVersion>> => {
    const { versions, nextPageToken } = await asking(tools, signal, () =>
      tools.tracker.listTrash(path, token, { signal, deadlineMs }),
    );
    for (const { path: found } of versions) {
      const foundNames = splitPath(found);
      const isBelow = names.every((name, depth) => foundNames[depth] === name);
      if (!isBelow)
        throw nonsense('ListTrash', `${JSON.stringify(found)} at or below ${JSON.stringify(path)}`);
    }
    return { items: versions, nextPageToken };
  };
  const nameOf = (one: TrashedVersion): string => `${JSON.stringify(one.path)}, version ${one.version}`;
  // Versions of one path come in the order in which they left it, which is no order of their numbers.
  yield* pagesOf('ListTrash', page, nameOf, (last, next) => compareBytes(last.path, next.path));
}

export async function restore(tools: Tools, path: string, options: RestoreOptions = {}): Promise<Entry> {
  const { signal, version = 0, to = path, overwrite = false } = options;
  splitPath(path);
  splitPath(to);
  const expectedVersion = options.expectedVersion ?? (overwrite ? await versionAt(tools, to, signal) : 0);
  const request = { path, version, destinationPath: to, expectedVersion };
  return mutating(tools, signal, (requestId) =>
    tools.tracker.restoreEntry({ ...request, requestId }, { signal, deadlineMs }),
  );
}

/** The version of a file; 0 for nothing, and for a directory, which is never replaced. */
async function versionAt(tools: Tools, path: string, signal: AbortSignal | undefined): Promise<number> {
  try {
    return (await asking(tools, signal, () => tools.tracker.getEntry(path, { signal }))).version;
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return 0;
    throw error;
  }
}

export async function emptyTrash(
  tools: Tools,
  path: string,
  { signal }: CallSignal = {},
): Promise<TrashSummary> {
  splitPath(path);
  return mutating(tools, signal, (requestId) =>
    tools.tracker.emptyTrash({ path, requestId }, { signal, deadlineMs }),
  );
}
