/** Which changes a watch is told: pure, as it is asked for every change by every watch. */
import type { Change } from './change-log.js';

export interface Watched {
  readonly path: string;
  /** Only the path itself and what is directly in it. */
  readonly shallow: boolean;
}

type Places = Pick<Change, 'kind' | 'path' | 'oldPath'>;

/** Whether a change is at or below the watched path, or takes away or brings a directory that holds it. */
export function concerns({ kind, path, oldPath }: Places, { path: watched, shallow }: Watched): boolean {
  const inside = belowOf(watched);
  const isTold = (place: string): boolean => {
    if (place === watched) return true;
    if (place.startsWith(inside)) return !shallow || !place.includes('/', inside.length);
    return (kind === 'moved' || kind === 'removed') && watched.startsWith(belowOf(place));
  };
  return isTold(path) || (oldPath !== undefined && isTold(oldPath));
}

/** How all paths below a directory begin. */
function belowOf(path: string): string {
  return path === '/' ? '/' : `${path}/`;
}
