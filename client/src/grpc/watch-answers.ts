/** The messages of a watch as the core's types; see answers.ts for the rules. */
import type { WatchEntriesResponseOutput } from '@holdfast/proto';
import { splitPath } from '@holdfast/shared';
import { checkInteger } from '@holdfast/shared/grpc';
import type { EntryChange, WatchMessage } from '../ports/watch.js';
import { readEntry } from './answers.js';

/** As the contract says. */
const maxCursorLength = 64;
/** Nobody waits longer than this for a word of a tracker, whatever it says. */
const maxHeartbeatIntervalMs = 60_000;

const kinds: Readonly<Record<string, EntryChange['kind']>> = {
  CHANGE_KIND_CREATED: 'created',
  CHANGE_KIND_REPLACED: 'replaced',
  CHANGE_KIND_MOVED: 'moved',
  CHANGE_KIND_REMOVED: 'removed',
};

export function readWatchMessage(message: WatchEntriesResponseOutput): WatchMessage {
  const { cursor, kind, path, oldPath, entryType, entry } = message;
  if (cursor === '' || cursor.length > maxCursorLength) throw new Error('a message without a cursor');
  if (kind === 'CHANGE_KIND_UNSPECIFIED') {
    const { heartbeatIntervalMs } = message;
    checkInteger(heartbeatIntervalMs, 'heartbeat_interval_ms', 1, maxHeartbeatIntervalMs);
    return { kind: 'cursor', cursor, heartbeatIntervalMs };
  }
  splitPath(path);
  if (oldPath !== '') splitPath(oldPath);
  return {
    kind: 'change',
    change: {
      kind: kinds[kind] ?? 'unknown',
      path,
      ...(oldPath !== '' && { oldPath }),
      type: entryType === 'ENTRY_TYPE_DIRECTORY' ? 'directory' : 'file',
      ...(entry && { entry: readEntry(entry) }),
      changedAtUnixMs: checkInteger(message.changedAtUnixMs, 'changed_at_unix_ms', -Number.MAX_SAFE_INTEGER),
      cursor,
    },
  };
}
