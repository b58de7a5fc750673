/**
 * The transitions of pieces and chunks, each in one place: what becomes durable, what becomes garbage, and which
 * chunks join the repair queue for it. All run inside a transaction of the caller.
 */
import { batches } from '../store/batches.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { PieceState } from '../store/schema.js';

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

/**
 * The keeper's pieces that became durable after a transaction may be another keeper's of the same name: they do not
 * count until a full report says so.
 */
export async function recordDoubtful(
  tx: MetadataTransaction,
  keeperId: string,
  afterTransactionId: number,
): Promise<void> {
  const rows = await tx.db
    .selectFrom('pieces')
    .select('chunk_id')
    .where('keeper_id', '=', keeperId)
    .where('state', '=', 'durable')
    .where('since_transaction_id', '>', afterTransactionId)
    .execute();
  await recordLost(
    tx,
    keeperId,
    rows.map((row) => row.chunk_id),
  );
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

/** Queues those of the chunks that are live and have fewer counted pieces than their policy asks for. */
export async function queueForRepair(tx: MetadataTransaction, chunkIds: readonly string[]): Promise<void> {
  for (const page of batches(chunkIds)) {
    await tx.db
      .insertInto('repair_queue')
      .columns(['chunk_id', 'pieces_left'])
      .expression((from) =>
        from
          .selectFrom('chunks')
          .leftJoin('pieces', (join) =>
            join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.state', '=', 'durable'),
          )
          .leftJoin('keepers', (join) =>
            join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
          )
          .select(({ fn }) => ['chunks.chunk_id', fn.count<number>('keepers.keeper_id').as('pieces_left')])
          .where('chunks.chunk_id', 'in', page)
          .where('chunks.state', '=', 'live')
          .groupBy(['chunks.chunk_id', 'chunks.pieces'])
          .having((eb) => eb(eb.fn.count<number>('keepers.keeper_id'), '<', eb.ref('chunks.pieces'))),
      )
      .onConflict((conflict) =>
        conflict.column('chunk_id').doUpdateSet((eb) => ({ pieces_left: eb.ref('excluded.pieces_left') })),
      )
      .execute();
  }
}

/** The keeper's pieces count again: they are the same immutable bytes. Repair finds their chunks complete. */
export async function markAlive(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await tx.db.updateTable('keepers').set({ dead: 0 }).where('keeper_id', '=', keeperId).execute();
}

/**
 * The keeper's pieces stop counting: all live chunks that have one join the repair queue. One statement, about
 * 5 µs a piece: a keeper with a million pieces holds other calls up for seconds, once.
 */
export async function markDead(tx: MetadataTransaction, keeperId: string): Promise<void> {
  await tx.db.updateTable('keepers').set({ dead: 1 }).where('keeper_id', '=', keeperId).execute();
  await tx.db
    .insertInto('repair_queue')
    .columns(['chunk_id', 'pieces_left'])
    .expression((from) =>
      from
        .selectFrom('pieces as lost')
        .innerJoin('chunks', 'chunks.chunk_id', 'lost.chunk_id')
        .innerJoin('pieces', (join) =>
          join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.state', '=', 'durable'),
        )
        .leftJoin('keepers', (join) =>
          join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
        )
        .select(({ fn }) => ['chunks.chunk_id', fn.count<number>('keepers.keeper_id').as('pieces_left')])
        .where('lost.keeper_id', '=', keeperId)
        .where('lost.state', '=', 'durable')
        .where('chunks.state', '=', 'live')
        .groupBy('chunks.chunk_id'),
    )
    .onConflict((conflict) =>
      conflict.column('chunk_id').doUpdateSet((eb) => ({ pieces_left: eb.ref('excluded.pieces_left') })),
    )
    .execute();
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
