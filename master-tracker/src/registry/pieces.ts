/**
 * The transitions of pieces and chunks, each in one place: what becomes durable, what becomes garbage, and which
 * chunks join the repair queue for it. All run inside a transaction of the caller.
 */
import { type OnConflictBuilder, type SqlBool, sql } from 'kysely';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { MetadataTables, PieceState } from '../store/schema.js';
import { reasons } from './reasons.js';

export interface PieceKey {
  readonly chunkId: string;
  readonly keeperId: string;
}

/** What a keeper says of a piece whose chunk is not sealed yet; kept in `pieces.claim`. */
export function claimOf(lengthBytes: number, digest: string): string {
  return `${lengthBytes}:${digest}`;
}

type PieceChange = Readonly<{
  chunkId: string;
  keeperId: string;
  claim: string | null;
  because: string | null;
}>;

const upsert = prepare(
  (db, args: { state: PieceState; transactionId: number; pieces: readonly PieceChange[] }) =>
    db
      .insertInto('pieces')
      .values(
        args.pieces.map(({ chunkId, keeperId, claim, because }) => ({
          chunk_id: chunkId,
          keeper_id: keeperId,
          state: args.state,
          since_transaction_id: args.transactionId,
          claim,
          because,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['chunk_id', 'keeper_id']).doUpdateSet((eb) => ({
          state: eb.ref('excluded.state'),
          since_transaction_id: eb.ref('excluded.since_transaction_id'),
          claim: eb.ref('excluded.claim'),
          because: eb.ref('excluded.because'),
        })),
      ),
);

async function upsertPieces(
  tx: MetadataTransaction,
  pieces: readonly (PieceKey & { claim?: string; because?: string | undefined })[],
  state: PieceState,
): Promise<void> {
  const { transactionId } = tx;
  for (const page of batches(pieces)) {
    const changes = page.map(({ chunkId, keeperId, claim = null, because = null }) => ({
      ...{ chunkId, keeperId, claim, because },
    }));
    await tx.run(upsert, { state, transactionId, pieces: changes });
  }
}

/** The pieces are on stable storage with their chunks' bytes; `because` says why there (reasons.ts). */
export async function recordDurable(
  tx: MetadataTransaction,
  pieces: readonly (PieceKey & { because?: string | undefined })[],
): Promise<void> {
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

/** Chunks of files that no keeper that is there has: they cannot be read. */
export interface Unreadable {
  readonly chunks: number;
  /** One of them; '' if there are none. */
  readonly example: string;
}

/** The live ones of these chunks that have no piece that counts. Such a chunk is always in the repair queue. */
export async function unreadableAmong(
  { db }: MetadataSnapshot,
  chunkIds: readonly string[],
): Promise<Unreadable> {
  const found: string[] = [];
  for (const page of batches(chunkIds)) {
    const rows = await db
      .selectFrom('repair_queue')
      .select('chunk_id')
      .where('chunk_id', 'in', page)
      .where('pieces_left', '=', 0)
      .where(hasNoCountedPiece)
      .execute();
    found.push(...rows.map((row) => row.chunk_id));
  }
  return { chunks: found.length, example: found[0] ?? '' };
}

/** The chunks with a piece on this keeper that have none that counts: what goes with it, or comes back with it. */
async function unreadableOn({ db }: MetadataSnapshot, keeperId: string): Promise<Unreadable> {
  const row = await db
    .selectFrom('repair_queue')
    .innerJoin('pieces as own', (join) =>
      join
        .onRef('own.chunk_id', '=', 'repair_queue.chunk_id')
        .on('own.keeper_id', '=', keeperId)
        .on('own.state', '=', 'durable'),
    )
    .select(({ fn }) => [
      fn.countAll<number>().as('chunks'),
      fn.min<string | null>('repair_queue.chunk_id').as('example'),
    ])
    .where('pieces_left', '=', 0)
    .where(hasNoCountedPiece)
    .executeTakeFirstOrThrow();
  return { chunks: row.chunks, example: row.example ?? '' };
}

/** Of a row of the queue. `pieces_left` alone may be out of date: pieces that came since are not in it. */
const hasNoCountedPiece = sql<SqlBool>`not exists (
  select 1 from pieces as counted
  join keepers on keepers.keeper_id = counted.keeper_id and keepers.dead = 0
  where counted.chunk_id = repair_queue.chunk_id and counted.state = 'durable'
)`;

/** The keeper has lost these pieces. Their live chunks join the repair queue. Returns those that cannot be read now. */
export async function recordLost(
  tx: MetadataTransaction,
  keeperId: string,
  chunkIds: readonly string[],
): Promise<Unreadable> {
  for (const page of batches(chunkIds)) {
    await tx.db
      .deleteFrom('pieces')
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'durable')
      .where('chunk_id', 'in', page)
      .execute();
    await queueForRepair(tx, page, reasons.lost(keeperId));
  }
  return unreadableAmong(tx, chunkIds);
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

/** Everything of a keeper is gone: it came back with another storage. Returns what cannot be read now. */
export async function recordKeeperLost(tx: MetadataTransaction, keeperId: string): Promise<Unreadable> {
  const unreadable = await markDead(tx, keeperId, reasons.replaced(keeperId));
  await tx.db.deleteFrom('pieces').where('keeper_id', '=', keeperId).execute();
  return unreadable;
}

/**
 * Queues those of the chunks that are live and have fewer counted pieces than their policy asks for; `because` says
 * why they do (reasons.ts).
 */
export async function queueForRepair(
  tx: MetadataTransaction,
  chunkIds: readonly string[],
  because = '',
): Promise<void> {
  for (const page of batches(chunkIds)) {
    await tx.db
      .insertInto('repair_queue')
      .columns(['chunk_id', 'pieces_left', 'because'])
      .expression((from) =>
        from
          .selectFrom('chunks')
          .leftJoin('pieces', (join) =>
            join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.state', '=', 'durable'),
          )
          .leftJoin('keepers', (join) =>
            join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
          )
          .select((eb) => [
            'chunks.chunk_id',
            eb.fn.count<number>('keepers.keeper_id').as('pieces_left'),
            eb.val(because).as('because'),
          ])
          .where('chunks.chunk_id', 'in', page)
          .where('chunks.state', '=', 'live')
          .groupBy(['chunks.chunk_id', 'chunks.pieces'])
          .having((eb) => eb(eb.fn.count<number>('keepers.keeper_id'), '<', eb.ref('chunks.pieces'))),
      )
      .onConflict(replaceQueued)
      .execute();
  }
}

/** What is known last of a chunk that is queued already. */
function replaceQueued(conflict: OnConflictBuilder<MetadataTables, 'repair_queue'>) {
  return conflict.column('chunk_id').doUpdateSet((eb) => ({
    pieces_left: eb.ref('excluded.pieces_left'),
    because: eb.ref('excluded.because'),
  }));
}

/**
 * The keeper's pieces count again: they are the same immutable bytes. Repair finds their chunks complete. Returns
 * what could not be read until now.
 */
export async function markAlive(tx: MetadataTransaction, keeperId: string): Promise<Unreadable> {
  const found = await unreadableOn(tx, keeperId);
  await tx.db.updateTable('keepers').set({ dead: 0 }).where('keeper_id', '=', keeperId).execute();
  return found;
}

/**
 * The keeper's pieces stop counting: all live chunks that have one join the repair queue. One statement, about
 * 5 µs a piece: a keeper with a million pieces holds other calls up for seconds, once. Returns what cannot be read
 * without it.
 */
export async function markDead(
  tx: MetadataTransaction,
  keeperId: string,
  because = reasons.dead(keeperId),
): Promise<Unreadable> {
  await tx.db.updateTable('keepers').set({ dead: 1 }).where('keeper_id', '=', keeperId).execute();
  await tx.db
    .insertInto('repair_queue')
    .columns(['chunk_id', 'pieces_left', 'because'])
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
        .select((eb) => [
          'chunks.chunk_id',
          eb.fn.count<number>('keepers.keeper_id').as('pieces_left'),
          eb.val(because).as('because'),
        ])
        .where('lost.keeper_id', '=', keeperId)
        .where('lost.state', '=', 'durable')
        .where('chunks.state', '=', 'live')
        .groupBy('chunks.chunk_id'),
    )
    .onConflict(replaceQueued)
    .execute();
  return unreadableOn(tx, keeperId);
}

const addToCount = prepare((db, args: { pieces: number; chunks: number }) =>
  db
    .insertInto('chunk_counts')
    .values({ pieces: args.pieces, chunks: args.chunks })
    .onConflict((conflict) =>
      conflict.column('pieces').doUpdateSet((eb) => ({
        chunks: eb('chunk_counts.chunks', '+', eb.ref('excluded.chunks')),
      })),
    ),
);

/** Counts chunks that became live with this many pieces in their policy. */
export async function countLive(tx: MetadataTransaction, pieces: number, chunks: number): Promise<void> {
  if (chunks > 0) await tx.run(addToCount, { pieces, chunks });
}

/** Gives chunks up: their pieces become tombstones, and they leave the repair queue. */
export async function giveUpChunks(tx: MetadataTransaction, chunkIds: readonly string[]): Promise<void> {
  for (const page of batches(chunkIds)) {
    const live = await tx.db
      .selectFrom('chunks')
      .select(({ fn }) => ['pieces', fn.countAll<number>().as('chunks')])
      .where('chunk_id', 'in', page)
      .where('state', '=', 'live')
      .groupBy('pieces')
      .execute();
    for (const { pieces, chunks } of live) await tx.run(addToCount, { pieces, chunks: -chunks });
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
