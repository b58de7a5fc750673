/**
 * A keeper's death, its return, its being emptied, and the loss of its storage, as the metadata shows them.
 *
 * The failure it answers: a keeper with a million pieces dies, and writing all their chunks into the repair queue in
 * one transaction holds everybody up for half a minute, until other keepers look dead too. So the change itself is one
 * row, by which all pieces of the keeper count or do not count at once, and its chunks are looked at for the queue
 * page by page, each page with the place to go on from in the same transaction. Until the last page the status counts
 * the rest of a dead keeper's as below policy.
 */
import type { EventLog } from '../events/event-log.js';
import type { KeeperIdentity } from '../membership/keeper.js';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { MetadataTables } from '../store/schema.js';
import { lostChunks } from './piece-events.js';
import { pageOfPieces } from './piece-pages.js';
import { type Unreadable, queueForRepair, unreadableOn } from './pieces.js';
import { reasons } from './reasons.js';

/** Pieces that one transaction looks at: about 20 ms. */
const pageSize = 1_000;
/** Pieces that a status counts one by one: about 10 ms. */
const maxNotQueuedCounted = 100_000;

/**
 * The keeper's pieces stop counting: their chunks lack one now. What cannot be read without it is an event, once all
 * were looked at.
 */
export async function markDead(tx: MetadataTransaction, events: EventLog, keeperId: string): Promise<void> {
  await change(tx, events, keeperId, { dead: 1 });
}

/**
 * The keeper's pieces count again, if they did not: they are the same immutable bytes. Repair finds their chunks
 * complete; those that were completed elsewhere meanwhile have more than they need. Returns what could not be read
 * until now.
 */
export async function markAlive(
  tx: MetadataTransaction,
  events: EventLog,
  keeperId: string,
): Promise<Unreadable> {
  const keeper = await tx.db
    .selectFrom('keepers')
    .select(['dead', 'replaced'])
    .where('keeper_id', '=', keeperId)
    .executeTakeFirst();
  if (keeper?.dead !== 1 || keeper.replaced === 1) return { chunks: 0, example: '' };
  const found = await unreadableOn(tx, keeperId);
  await change(tx, events, keeperId, { dead: 0 });
  return found;
}

/** The pieces of all keepers count again, but for those of a storage that is known to be gone. */
export async function markAllAlive(tx: MetadataTransaction): Promise<void> {
  await tx.db
    .updateTable('keepers')
    .set({ dead: 0, queued_through: '' })
    .where('dead', '=', 1)
    .where('replaced', '=', 0)
    .execute();
}

/**
 * The keeper is there with another storage under its old name, as only a directory that was put together by hand is:
 * what it had is gone. That is a death, after which its rows go too. Until the last one has gone the new storage must
 * not be taken (`isBeingReplaced`), or the old pieces would count on it.
 */
export async function markReplaced(
  tx: MetadataTransaction,
  events: EventLog,
  { keeperId, storageId, incarnation }: KeeperIdentity,
): Promise<void> {
  await change(tx, events, keeperId, { storage_id: storageId, incarnation, dead: 1, replaced: 1 });
}

/** True while pieces of a storage are on the books that the keeper does not have any more. */
export async function isBeingReplaced({ db }: MetadataSnapshot, keeperId: string): Promise<boolean> {
  const row = await db
    .selectFrom('keepers')
    .select('keeper_id')
    .where('keeper_id', '=', keeperId)
    .where('replaced', '=', 1)
    .executeTakeFirst();
  return row !== undefined;
}

/** The keeper is to be emptied, or takes pieces again: its chunks are to have another piece, or have one too many. */
export async function markDraining(
  tx: MetadataTransaction,
  events: EventLog,
  keeperId: string,
  draining: boolean,
): Promise<void> {
  await change(tx, events, keeperId, { draining: draining ? 1 : 0 });
}

/** Changes the row, and looks at the first page of the keeper's chunks; `queueNextPage` does the rest. */
async function change(
  tx: MetadataTransaction,
  events: EventLog,
  keeperId: string,
  columns: Partial<
    Pick<MetadataTables['keepers'], 'dead' | 'draining' | 'replaced' | 'storage_id' | 'incarnation'>
  >,
): Promise<void> {
  const changed = await tx.db
    .updateTable('keepers')
    .set({ ...columns, queued_through: '' })
    .where('keeper_id', '=', keeperId)
    .returningAll()
    .executeTakeFirst();
  if (changed) await lookOn(tx, events, changed);
}

/** One page of the chunks of keepers that changed; true if there may be more. */
export async function queueNextPage(store: MetadataStore, events: EventLog): Promise<boolean> {
  const find = async (snapshot: MetadataSnapshot) => (await snapshot.run(changedKeeper, {}))[0];
  if (!(await store.read(find))) return false;
  return store.mutate(async (tx) => {
    const next = await find(tx);
    if (next) await lookOn(tx, events, next);
    return next !== undefined;
  });
}

const changedKeeper = prepare((db) =>
  db
    .selectFrom('keepers')
    .select(['keeper_id', 'dead', 'draining', 'queued_through', 'replaced'])
    .where((eb) => eb.or([eb('queued_through', 'is not', null), eb('replaced', '=', 1)]))
    .limit(1),
);

interface ChangedKeeper {
  readonly keeper_id: string;
  readonly dead: number;
  readonly draining: number;
  readonly queued_through: string | null;
  readonly replaced: number;
}

async function lookOn(tx: MetadataTransaction, events: EventLog, keeper: ChangedKeeper): Promise<void> {
  const { keeper_id: keeperId, dead, queued_through: from, replaced } = keeper;
  if (from !== null) {
    const through = await queuePage(tx, keeperId, from, whyLacking(keeper));
    if (through !== undefined || dead === 0) return;
    for (const event of lostChunks(keeperId, await unreadableOn(tx, keeperId)))
      await events.record(tx, event);
  }
  if (replaced === 1) await dropPage(tx, keeperId);
}

function whyLacking({ keeper_id: keeperId, dead, draining, replaced }: ChangedKeeper): string {
  if (replaced === 1) return reasons.replaced(keeperId);
  if (dead === 1) return reasons.dead(keeperId);
  return draining === 1 ? reasons.drain(keeperId) : '';
}

/** Forgets a page of a replaced keeper's pieces, in whatever state; with the last one nothing is left to be taken off. */
async function dropPage(tx: MetadataTransaction, keeperId: string): Promise<void> {
  const page = await tx.db
    .selectFrom('pieces')
    .select('chunk_id')
    .where('keeper_id', '=', keeperId)
    .orderBy('state')
    .orderBy('chunk_id')
    .limit(pageSize)
    .execute();
  for (const chunkIds of batches(page.map((row) => row.chunk_id))) {
    await tx.db
      .deleteFrom('pieces')
      .where('keeper_id', '=', keeperId)
      .where('chunk_id', 'in', chunkIds)
      .execute();
  }
  if (page.length === pageSize) return;
  await tx.db.updateTable('keepers').set({ replaced: 0 }).where('keeper_id', '=', keeperId).execute();
}

/** The place to go on from, which is written down; undefined if that was the last page. */
async function queuePage(
  tx: MetadataTransaction,
  keeperId: string,
  from: string,
  because: string,
): Promise<string | undefined> {
  const page = await pageOfPieces(tx, keeperId, from, pageSize).execute();
  const chunkIds = page.map((row) => row.chunk_id);
  await queueForRepair(tx, chunkIds, because);
  const through = page.length < pageSize ? undefined : chunkIds.at(-1);
  await tx.db
    .updateTable('keepers')
    .set({ queued_through: through ?? null })
    .where('keeper_id', '=', keeperId)
    .execute();
  return through;
}

/**
 * How many pieces of dead keepers no page has come to: each may be of a chunk that is below policy. Of a keeper that
 * has very many left to look at, as many as it has in all.
 */
export async function piecesNotQueued({ db }: MetadataSnapshot): Promise<number> {
  const dying = await db
    .selectFrom('keepers')
    .select(['keeper_id', 'queued_through'])
    .where('queued_through', 'is not', null)
    .where('dead', '=', 1)
    .execute();
  const limit = Math.ceil(maxNotQueuedCounted / Math.max(1, dying.length));
  let pieces = 0;
  // One by one: joined, SQLite would look at every piece that there is.
  for (const { keeper_id: keeperId, queued_through: through } of dying) {
    const left = await db
      .selectFrom(pageOfPieces({ db }, keeperId, through ?? '', limit).as('left'))
      .select(({ fn }) => fn.countAll<number>().as('pieces'))
      .executeTakeFirstOrThrow();
    pieces += left.pieces < limit ? left.pieces : await durablePieces({ db }, keeperId);
  }
  return pieces;
}

async function durablePieces({ db }: Pick<MetadataSnapshot, 'db'>, keeperId: string): Promise<number> {
  const row = await db
    .selectFrom('piece_counts')
    .select('pieces')
    .where('keeper_id', '=', keeperId)
    .where('state', '=', 'durable')
    .executeTakeFirst();
  return row?.pieces ?? 0;
}

/** Those of the chunks that lack a piece of a dead keeper and that no page has come to: they join the queue soon. */
export async function notLookedAt(
  { db }: MetadataSnapshot,
  chunkIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const page of batches(chunkIds)) {
    const rows = await db
      .selectFrom('keepers')
      .innerJoin('pieces', (join) =>
        join
          .onRef('pieces.keeper_id', '=', 'keepers.keeper_id')
          .on('pieces.state', '=', 'durable')
          .onRef('pieces.chunk_id', '>', 'keepers.queued_through'),
      )
      .select('pieces.chunk_id')
      .where('queued_through', 'is not', null)
      .where('dead', '=', 1)
      .where('pieces.chunk_id', 'in', page)
      .execute();
    for (const row of rows) found.add(row.chunk_id);
  }
  return found;
}

/** True if a chunk may lack a piece: one is queued for it, or a dead keeper's were not all looked at. */
export async function mayLackPieces({ db }: MetadataSnapshot): Promise<boolean> {
  const queued = await db
    .selectFrom('repair_queue')
    .select('chunk_id')
    .where('below_policy', '=', 1)
    .limit(1)
    .executeTakeFirst();
  if (queued) return true;
  const unlooked = await db
    .selectFrom('keepers')
    .select('keeper_id')
    .where('queued_through', 'is not', null)
    .where('dead', '=', 1)
    .executeTakeFirst();
  return unlooked !== undefined;
}
