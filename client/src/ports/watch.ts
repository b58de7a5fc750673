/** Following the changes of the namespace, as far as the client's core needs it. See tracker-api.ts for the rules. */
import type { CallOptions } from './call-options.js';
import type { Entry } from './tracker-api.js';

/** What became of an entry. */
export interface EntryChange {
  /**
   * created: a file or a directory is where nothing was. replaced: a file shows another version. moved: an entry is at
   * another path, a directory with all that is below it; what was there before is gone. removed: an entry is gone, a
   * directory with all that was below it. unknown: a tracker of a later version says something else.
   */
  readonly kind: 'created' | 'replaced' | 'moved' | 'removed' | 'unknown';
  /** Of the entry after the change; where it was if it was removed. */
  readonly path: string;
  /** Where a moved entry was. */
  readonly oldPath?: string;
  readonly type: Entry['type'];
  /** As the change made it; absent if it was removed, or if its version has been given up since. */
  readonly entry?: Entry;
  /** By the tracker's wall clock, in milliseconds since 1970. For display. */
  readonly changedAtUnixMs: number;
  /** Where to go on after this change. Opaque; good for as long as the tracker keeps what came after it. */
  readonly cursor: string;
}

export interface WatchRequest {
  readonly path: string;
  /** '' to begin now. */
  readonly cursor: string;
  readonly shallow: boolean;
}

/** A change, or only how far the watch has come, and then how long after it the next message comes at the latest. */
export type WatchMessage =
  | { readonly kind: 'change'; readonly change: EntryChange }
  | { readonly kind: 'cursor'; readonly cursor: string; readonly heartbeatIntervalMs: number };

export interface WatchApi {
  /** The first message comes at once and has the cursor where the watch begins. Ends when `signal` is aborted. */
  watchEntries(
    request: WatchRequest,
    options: CallOptions & { readonly deadlineMs: number },
  ): AsyncIterable<WatchMessage>;
}
