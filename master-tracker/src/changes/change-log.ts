/**
 * Reading the log of changes, a page at a time from wherever a reader stands. Readers at the same place share a read: at
 * each commit all that wait for the next change come at once.
 */
import type { Entry } from '../namespace/entry.js';
import { contentColumns, toEntry } from '../namespace/describe.js';
import type { MetadataSnapshot, MetadataStore } from '../store/metadata-store.js';
import type { ChangesTable } from '../store/schema.js';
import { type Position, checkPosition, cursorExpired, lastPosition } from './position.js';

export interface Change {
  readonly kind: ChangesTable['kind'];
  /** Of the entry after the change; where it was if it was removed. */
  readonly path: string;
  /** Where a moved entry was. */
  readonly oldPath: string | undefined;
  readonly type: Entry['type'];
  /** As the change made it; undefined if it was removed, or its version has been given up since. */
  readonly entry: Entry | undefined;
  /** By the tracker's wall clock, for display only. */
  readonly changedAtUnixMs: number;
  /** After this change. */
  readonly position: Position;
}

/** What a reader holds at a time: 60 KB with ordinary paths, 1.7 MB if all are as long as a path may be. */
const pageSize = 200;

export class ChangeLog {
  readonly #store: MetadataStore;
  /** The reads that run, by the change after which they begin. */
  readonly #reads = new Map<number, Promise<readonly Change[]>>();

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  /** Whether there are changes after a position. Costs nothing. */
  hasAfter({ changeId }: Position): boolean {
    return this.#store.counters.last_change_id > changeId;
  }

  /** After the last change that there is. */
  now(): Promise<Position> {
    return this.#store.read(lastPosition);
  }

  /**
   * Makes sure that a position from outside is one of this log and that every change after it is there.
   *
   * @throws HoldfastError CURSOR_EXPIRED
   */
  check(position: Position): Promise<void> {
    return this.#store.read((snapshot) => checkPosition(snapshot, position));
  }

  /**
   * The next changes after a position, a page of them at most; none if there are none yet.
   *
   * @throws HoldfastError CURSOR_EXPIRED if they have been forgotten meanwhile
   */
  async after(position: Position): Promise<readonly Change[]> {
    if (!this.hasAfter(position)) return [];
    const { changeId } = position;
    const running = this.#reads.get(changeId);
    if (running) return running;
    const read = this.#store
      .read((snapshot) => readAfter(snapshot, changeId))
      .finally(() => this.#reads.delete(changeId));
    this.#reads.set(changeId, read);
    return read;
  }
}

async function readAfter({ db }: MetadataSnapshot, changeId: number): Promise<readonly Change[]> {
  const rows = await db
    .selectFrom('changes')
    .leftJoin('versions', 'versions.version', 'changes.version')
    .selectAll('changes')
    .select(contentColumns)
    .where('change_id', '>', changeId)
    .orderBy('change_id')
    .limit(pageSize)
    .execute();
  const [first] = rows;
  if (first && first.change_id !== changeId + 1) throw cursorExpired('the changes after it were forgotten');
  return rows.map((row) => {
    const { kind, path, type, instance, size_bytes } = row;
    const isKnown = kind !== 'removed' && (type === 'directory' || size_bytes !== null);
    return {
      ...{ kind, path, type, oldPath: row.old_path ?? undefined },
      entry: isKnown ? toEntry(path, row, type === 'file' ? row : undefined) : undefined,
      changedAtUnixMs: row.changed_at_unix_ms,
      position: { changeId: row.change_id, instance },
    };
  });
}
