/**
 * A keeper's death, and its return, as the metadata shows them.
 *
 * The failure it answers: a keeper with a million pieces dies, and writing all their chunks into the repair queue in
 * one transaction holds everybody up for half a minute, until other keepers look dead too. So the death itself is one
 * row, from which on no piece of the keeper counts anywhere, and its chunks join the queue page by page, each page with
 * the place to go on from in the same transaction. Until the last page the status counts the rest as below policy.
 */
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { queueForRepair } from './pieces.js';

/** Pieces that one transaction looks at: about 20 ms. */
const pageSize = 1_000;

/** The keeper's pieces stop counting, and its first chunks join the repair queue; `queueNextDead` does the rest. */
export async function markDead(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await tx.db
    .updateTable('keepers')
    .set({ dead: 1, queued_through: '' })
    .where('keeper_id', '=', keeperId)
    .execute();
  await queuePage(tx, keeperId, '');
}

/** The keeper's pieces count again: they are the same immutable bytes. Repair finds their chunks complete. */
export async function markAlive(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await tx.db
    .updateTable('keepers')
    .set({ dead: 0, queued_through: null })
    .where('keeper_id', '=', keeperId)
    .execute();
}

/**
 * Everything of a keeper is gone: it came back with another storage under its old name, as only a directory that
 * was put together by hand does. One transaction, as the old pieces must not count a moment on the new storage.
 */
export async function recordKeeperLost(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await tx.db.updateTable('keepers').set({ dead: 1 }).where('keeper_id', '=', keeperId).execute();
  for (let from: string | undefined = ''; from !== undefined;) from = await queuePage(tx, keeperId, from);
  await tx.db.deleteFrom('pieces').where('keeper_id', '=', keeperId).execute();
}

/** One page of the chunks of keepers that died; true if there may be more. */
export async function queueNextDead(store: MetadataStore): Promise<boolean> {
  const find = ({ db }: MetadataSnapshot) =>
    db
      .selectFrom('keepers')
      .select(['keeper_id', 'queued_through'])
      .where('queued_through', 'is not', null)
      .limit(1)
      .executeTakeFirst();
  if (!(await store.read(find))) return false;
  return store.mutate(async (tx) => {
    const next = await find(tx);
    if (next) await queuePage(tx, next.keeper_id, next.queued_through ?? '');
    return next !== undefined;
  });
}

/** The place to go on from, which is written down; undefined if that was the last page. */
async function queuePage(
  tx: MetadataTransaction,
  keeperId: string,
  from: string,
): Promise<string | undefined> {
  const page = await tx.db
    .selectFrom('pieces')
    .select('chunk_id')
    .where('keeper_id', '=', keeperId)
    .where('state', '=', 'durable')
    .where('chunk_id', '>', from)
    .orderBy('chunk_id')
    .limit(pageSize)
    .execute();
  const chunkIds = page.map((row) => row.chunk_id);
  await queueForRepair(tx, chunkIds);
  const through = page.length < pageSize ? undefined : chunkIds.at(-1);
  await tx.db
    .updateTable('keepers')
    .set({ queued_through: through ?? null })
    .where('keeper_id', '=', keeperId)
    .execute();
  return through;
}

/** How many pieces of dead keepers no page has come to: each may be of a chunk that is below policy. */
export async function piecesNotQueued({ db }: MetadataSnapshot): Promise<number> {
  const dying = await db
    .selectFrom('keepers')
    .select(['keeper_id', 'queued_through'])
    .where('queued_through', 'is not', null)
    .execute();
  let pieces = 0;
  // One by one: joined, SQLite would look at every piece that there is.
  for (const { keeper_id: keeperId, queued_through: through } of dying) {
    const row = await db
      .selectFrom('pieces')
      .select(({ fn }) => fn.countAll<number>().as('pieces'))
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'durable')
      .where('chunk_id', '>', through ?? '')
      .executeTakeFirstOrThrow();
    pieces += row.pieces;
  }
  return pieces;
}
