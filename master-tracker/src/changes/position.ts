/**
 * Where a reader of the log of changes stands, and as a cursor, which callers keep for as long as they like.
 *
 * The failure it answers: a tracker is started from an old copy of its metadata, and other changes get the numbers that
 * were given out before. A number alone would then go on in the wrong history, or wait for one that never comes. So a
 * position also says which start of the tracker wrote the change: the two together are written once.
 */
import { HoldfastError } from '@holdfast/shared';
import type { MetadataSnapshot } from '../store/metadata-store.js';
import { instanceDigits } from './record.js';

/** After this change; 0 for before the first one, and then the instance is the beginning of the cluster's id. */
export interface Position {
  readonly changeId: number;
  readonly instance: string;
}

/** As the contract says; ours have half of that. */
const maxCursorLength = 64;
const cursorPattern = new RegExp(`^([0-9a-f]{${instanceDigits}})(0|[1-9][0-9]{0,15})$`);

/** Opaque to callers. */
export function writeCursor({ changeId, instance }: Position): string {
  return Buffer.from(`${instance}${changeId}`).toString('base64url');
}

/** @throws HoldfastError INVALID_ARGUMENT */
export function readCursor(cursor: string): Position {
  const text = cursor.length > maxCursorLength ? '' : Buffer.from(cursor, 'base64url').toString('latin1');
  const [, instance = '', digits = ''] = cursorPattern.exec(text) ?? [];
  const position = { instance, changeId: Number(digits) };
  if (Number.isSafeInteger(position.changeId) && writeCursor(position) === cursor) return position;
  throw new HoldfastError('INVALID_ARGUMENT', 'cursor is not one that WatchEntries gave');
}

/** After the last change that there is. */
export async function lastPosition(snapshot: MetadataSnapshot): Promise<Position> {
  const last = await snapshot.db
    .selectFrom('changes')
    .select(['change_id', 'instance'])
    .orderBy('change_id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last ? { changeId: last.change_id, instance: last.instance } : beforeAll(snapshot);
}

async function beforeAll({ db }: MetadataSnapshot): Promise<Position> {
  const { cluster_id } = await db.selectFrom('cluster').select('cluster_id').executeTakeFirstOrThrow();
  return { changeId: 0, instance: cluster_id.slice(0, instanceDigits) };
}

/**
 * Makes sure that every change after a position is there, and that they follow the one it names.
 *
 * @throws HoldfastError CURSOR_EXPIRED
 */
export async function checkPosition(snapshot: MetadataSnapshot, position: Position): Promise<void> {
  const { changeId, instance } = position;
  const last = await lastPosition(snapshot);
  if (changeId > last.changeId) throw cursorExpired('it names a change that this metadata does not have');
  const first = await snapshot.db
    .selectFrom('changes')
    .select(['change_id', 'instance'])
    .where('change_id', '>=', changeId)
    .orderBy('change_id')
    .limit(1)
    .executeTakeFirst();
  if (first && first.change_id > Math.max(1, changeId)) {
    throw cursorExpired('the changes after it are not kept any more');
  }
  const named = first?.change_id === changeId ? first : await beforeAll(snapshot);
  if (named.instance !== instance) throw cursorExpired('it belongs to another history of this metadata');
}

export function cursorExpired(why: string): HoldfastError {
  return new HoldfastError('CURSOR_EXPIRED', `the cursor cannot be gone on from: ${why}`, {
    remedy: 'Begin a watch without a cursor, then list what is there, then watch on from the cursor it gave.',
  });
}
