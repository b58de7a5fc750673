/**
 * The transitions of pieces and chunks, each in one place: what becomes durable, what becomes garbage, and which
 * chunks join the repair queue for it. All run inside a transaction of the caller.
 */
import type { SelectQueryBuilder } from 'kysely';
import { batches } from '../store/batches.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { MetadataTables, PieceState } from '../store/schema.js';

export interface PieceKey {
  readonly chunkId: string;
  readonly keeperId: string;
}

/** What a keeper says of a piece whose chunk is not sealed yet; kept in `pieces.claim`. */
export function claimOf(lengthBytes: number, digest: string): string {
  return `${lengthBytes}:${digest}`;
}

type PieceChange = Readonly<{ chunkId: string; keeperId: string; claim: string | null }>;

const upsert = prepare(
  (db, args: { state: PieceState; transactionId: number; pieces: readonly PieceChange[] }) =>
    db
      .insertInto('pieces')
      .values(
        args.pieces.map(({ chunkId, keeperId, claim }) => ({
          chunk_id: chunkId,
          keeper_id: keeperId,
          state: args.state,
          since_transaction_id: args.transactionId,
          claim,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['chunk_id', 'keeper_id']).doUpdateSet((eb) => ({
          state: eb.ref('excluded.state'),
          since_transaction_id: eb.ref('excluded.since_transaction_id'),
          claim: eb.ref('excluded.claim'),
        })),
      ),
);

async function upsertPieces(
  tx: MetadataTransaction,
  pieces: readonly (PieceKey & { claim?: string })[],
  state: PieceState,
): Promise<void> {
  const { transactionId } = tx;
  for (const page of batches(pieces)) {
    const changes = page.map(({ chunkId, keeperId, claim = null }) => ({ chunkId, keeperId, claim }));
    await tx.run(upsert, { state, transactionId, pieces: changes });
  }
}

/** The pieces are on stable storage with their chunks' bytes. */
export async function recordDurable(tx: MetadataTransaction, pieces: readonly PieceKey[]): Promise<void> {
  await upsertPieces(tx, pieces, 'durable');
}

/** A keeper has pieces of chunks that are not sealed yet: what it says is kept until the seal. */
export async function recordClaims(
  tx: MetadataTransaction,
  pieces: readonly (PieceKey & { claim: string })[],
): Promise<void> {
  await upsertPieces(tx, pieces, 'planned');
}

/** A keeper has pieces of chunks that were given up: they are to be trashed. */
export async function recordGarbage(tx: MetadataTransaction, pieces: readonly PieceKey[]): Promise<void> {
  await upsertPieces(tx, pieces, 'garbage');
}

/** The keeper has lost these pieces. Their live chunks join the repair queue. */
export async function recordLost(
  tx: MetadataTransaction,
  keeperId: string,
  chunkIds: readonly string[],
): Promise<void> {
  for (const page of batches(chunkIds)) {
    await tx.db
      .deleteFrom('pieces')
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'durable')
      .where('chunk_id', 'in', page)
      .execute();
    await queueForRepair(tx, page);
  }
}

const storagesOf = prepare((db, { keeperIds }: { keeperIds: readonly string[] }) =>
  db.selectFrom('keepers').select(['keeper_id', 'storage_id']).where('keeper_id', 'in', keeperIds),
);

/** The storages of keepers as of this transaction: a word that was given before it may be of one that is gone. */
export async function currentStorages(
  tx: MetadataTransaction,
  keeperIds: readonly string[],
): Promise<Map<string, string>> {
  const storages = new Map<string, string>();
  for (const page of batches(keeperIds)) {
    const rows = await tx.run(storagesOf, { keeperIds: page });
    for (const row of rows) storages.set(row.keeper_id, row.storage_id);
  }
  return storages;
}

/** Everything of a keeper is gone: it came back with another storage. */
export async function recordKeeperLost(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await markDead(tx, keeperId);
  await tx.db.deleteFrom('pieces').where('keeper_id', '=', keeperId).execute();
}

/** Queues those of the chunks that are live and off their policy. */
export async function queueForRepair(tx: MetadataTransaction, chunkIds: readonly string[]): Promise<void> {
  for (const page of batches(chunkIds)) await queueOffPolicy(tx, page);
}

/** Queues those of the chunks that are live, for whatever was found with them. */
export async function queueAll(tx: MetadataTransaction, chunkIds: readonly string[]): Promise<void> {
  for (const page of batches(chunkIds)) await queueOffPolicy(tx, page, true);
}

/**
 * Queues all live chunks that have a piece on the keeper and are off their policy. One statement, about 5 µs a
 * piece: a keeper with a million pieces holds other calls up for seconds, once.
 */
async function queueChunksOf(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await queueOffPolicy(
    tx,
    tx.db
      .selectFrom('pieces')
      .select('chunk_id')
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'durable'),
  );
}

/**
 * The one place that fills the queue: a chunk is off its policy unless exactly as many of its pieces as the policy
 * asks for are on keepers that are not dead, and none of them on one that is being emptied.
 */
async function queueOffPolicy(
  tx: MetadataTransaction,
  chunkIds: readonly string[] | SelectQueryBuilder<MetadataTables, 'pieces', { chunk_id: string }>,
  all = false,
): Promise<void> {
  await tx.db
    .insertInto('repair_queue')
    .columns(['chunk_id', 'pieces_left', 'below_policy'])
    .expression((from) =>
      from
        .selectFrom('chunks')
        .leftJoin('pieces', (join) =>
          join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.state', '=', 'durable'),
        )
        .leftJoin('keepers', (join) =>
          join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
        )
        .select(({ eb, fn }) => [
          'chunks.chunk_id',
          fn.count<number>('keepers.keeper_id').as('pieces_left'),
          eb
            .case()
            .when(fn.count('keepers.keeper_id'), '<', eb.ref('chunks.pieces'))
            .then(1)
            .else(0)
            .end()
            .as('below_policy'),
        ])
        .where('chunks.chunk_id', 'in', chunkIds)
        .where('chunks.state', '=', 'live')
        .groupBy(['chunks.chunk_id', 'chunks.pieces'])
        .having((eb) =>
          eb.or([
            eb(eb.fn.count('keepers.keeper_id'), '!=', eb.ref('chunks.pieces')),
            eb(eb.fn.sum('keepers.draining'), '>', 0),
            eb(eb.val(all ? 1 : 0), '=', 1),
          ]),
        ),
    )
    .onConflict((conflict) =>
      conflict.column('chunk_id').doUpdateSet((eb) => ({
        pieces_left: eb.ref('excluded.pieces_left'),
        below_policy: eb.ref('excluded.below_policy'),
      })),
    )
    .execute();
}

/**
 * The keeper's pieces count again: they are the same immutable bytes. Repair finds their chunks complete; those
 * that were completed elsewhere meanwhile have more than they need.
 */
export async function markAlive(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await tx.db.updateTable('keepers').set({ dead: 0 }).where('keeper_id', '=', keeperId).execute();
  await queueChunksOf(tx, keeperId);
}

/** The keeper's pieces stop counting: their chunks lack one now. */
export async function markDead(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await tx.db.updateTable('keepers').set({ dead: 1 }).where('keeper_id', '=', keeperId).execute();
  await queueChunksOf(tx, keeperId);
}

/** The keeper is to be emptied, or takes pieces again: its chunks are to have another piece, or have one too many. */
export async function markDraining(
  tx: MetadataTransaction,
  keeperId: string,
  draining: boolean,
): Promise<void> {
  await tx.db
    .updateTable('keepers')
    .set({ draining: draining ? 1 : 0 })
    .where('keeper_id', '=', keeperId)
    .execute();
  await queueChunksOf(tx, keeperId);
}

/**
 * One of the pieces of live chunks is to go: to be trashed, and not counted from now on. Whether that may be is the
 * caller's to know, in this transaction (S5).
 */
export async function recordSurplus(tx: MetadataTransaction, pieces: readonly PieceKey[]): Promise<void> {
  await upsertPieces(tx, pieces, 'garbage');
}

/** The keeper says that these pieces are in its trash. */
export async function recordTrashed(
  tx: MetadataTransaction,
  keeperId: string,
  chunkIds: readonly string[],
): Promise<void> {
  for (const page of batches(chunkIds)) {
    const live = tx.db
      .selectFrom('chunks')
      .select('chunk_id')
      .where('chunk_id', 'in', page)
      .where('state', '=', 'live');
    await tx.db
      .updateTable('pieces')
      .set({ state: 'trashed', since_transaction_id: tx.transactionId })
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'garbage')
      .where('chunk_id', 'in', live)
      .execute();
    await tx.db
      .deleteFrom('pieces')
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'garbage')
      .where('chunk_id', 'in', page)
      .execute();
  }
}

/** Forgets up to `limit` trashed pieces of a keeper whose older words are all in by now; true if there may be more. */
export async function forgetTrashed(
  tx: MetadataTransaction,
  keeperId: string,
  horizon: number,
  limit: number,
): Promise<boolean> {
  const old = tx.db
    .selectFrom('pieces')
    .select('chunk_id')
    .where('keeper_id', '=', keeperId)
    .where('state', '=', 'trashed')
    .where('since_transaction_id', '<=', horizon)
    .limit(limit);
  const { numDeletedRows } = await tx.db
    .deleteFrom('pieces')
    .where('keeper_id', '=', keeperId)
    .where('state', '=', 'trashed')
    .where('chunk_id', 'in', old)
    .executeTakeFirst();
  return Number(numDeletedRows) === limit;
}

/** Gives chunks up: their pieces become tombstones, and they leave the repair queue. */
export async function giveUpChunks(tx: MetadataTransaction, chunkIds: readonly string[]): Promise<void> {
  for (const page of batches(chunkIds)) {
    await tx.db
      .updateTable('chunks')
      .set({ state: 'garbage', garbage_transaction_id: tx.transactionId })
      .where('chunk_id', 'in', page)
      .execute();
    await tx.db
      .updateTable('pieces')
      .set({ state: 'garbage', since_transaction_id: tx.transactionId, claim: null })
      .where('chunk_id', 'in', page)
      .execute();
    await tx.db.deleteFrom('repair_queue').where('chunk_id', 'in', page).execute();
  }
}

/** Gives up what a session wrote and did not commit. */
export async function giveUpUpload(tx: MetadataTransaction, uploadId: string): Promise<void> {
  const unused = tx.db
    .selectFrom('chunks')
    .select('chunk_id')
    .where('upload_id', '=', uploadId)
    .where('state', 'in', ['allocated', 'sealed']);
  await tx.db
    .updateTable('pieces')
    .set({ state: 'garbage', since_transaction_id: tx.transactionId, claim: null })
    .where('chunk_id', 'in', unused)
    .execute();
  await tx.db
    .updateTable('chunks')
    .set({ state: 'garbage', garbage_transaction_id: tx.transactionId })
    .where('upload_id', '=', uploadId)
    .where('state', 'in', ['allocated', 'sealed'])
    .execute();
}
