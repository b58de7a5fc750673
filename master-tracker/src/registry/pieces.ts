/**
 * The transitions of pieces and chunks, each in one place: what becomes durable, what becomes garbage, and which
 * chunks join the repair queue for it. All run inside a transaction of the caller.
 */
import { type SqlBool, sql } from 'kysely';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { PieceState } from '../store/schema.js';
import { reasons } from './reasons.js';

export interface PieceKey {
  readonly chunkId: string;
  readonly keeperId: string;
}

/** What a keeper says of a piece whose chunk is not sealed yet; kept in `pieces.claim`. */
export function claimOf(lengthBytes: number, digest: string): string {
  return `${lengthBytes}:${digest}`;
}

/** A piece that a keeper has; both are null or absent if they are not known. */
export type DurablePiece = PieceKey &
  Readonly<{
    /** Why there (reasons.ts). */
    because?: string | undefined;
    /** When the keeper said that it had written it, by the tracker's wall clock. */
    writtenAtUnixMs?: number | undefined;
  }>;

type PieceChange = Readonly<{
  chunkId: string;
  keeperId: string;
  claim: string | null;
  because: string | null;
  writtenAtUnixMs: number | null;
}>;

const upsert = prepare(
  (db, args: { state: PieceState; transactionId: number; pieces: readonly PieceChange[] }) =>
    db
      .insertInto('pieces')
      .values(
        args.pieces.map(({ chunkId, keeperId, claim, because, writtenAtUnixMs }) => ({
          chunk_id: chunkId,
          keeper_id: keeperId,
          state: args.state,
          since_transaction_id: args.transactionId,
          claim,
          because,
          written_at_unix_ms: writtenAtUnixMs,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['chunk_id', 'keeper_id']).doUpdateSet((eb) => ({
          state: eb.ref('excluded.state'),
          since_transaction_id: eb.ref('excluded.since_transaction_id'),
          claim: eb.ref('excluded.claim'),
          because: eb.ref('excluded.because'),
          written_at_unix_ms: eb.ref('excluded.written_at_unix_ms'),
        })),
      ),
);

async function upsertPieces(
  tx: MetadataTransaction,
  pieces: readonly (DurablePiece & { readonly claim?: string })[],
  state: PieceState,
): Promise<void> {
  const { transactionId } = tx;
  for (const page of batches(pieces)) {
    const changes = page.map(
      ({ chunkId, keeperId, claim = null, because = null, writtenAtUnixMs = null }) => ({
        ...{ chunkId, keeperId, claim, because, writtenAtUnixMs },
      }),
    );
    await tx.run(upsert, { state, transactionId, pieces: changes });
  }
}

/** The pieces are on stable storage with their chunks' bytes. */
export async function recordDurable(tx: MetadataTransaction, pieces: readonly DurablePiece[]): Promise<void> {
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
  /** True if there may be more. */
  readonly atLeast?: boolean;
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

/**
 * The chunks with a piece on this keeper that have none that counts: what goes with it, or comes back with it. After an
 * outage of everybody the queue may hold a million of them: only the first `maxLooked` that have lost all are looked at.
 */
export async function unreadableOn(
  { db }: MetadataSnapshot,
  keeperId: string,
  maxLooked = 5_000, // About 25 ms.
): Promise<Unreadable> {
  const { looked, chunks, example } = await db
    .selectFrom((from) =>
      from
        .selectFrom('repair_queue')
        .select('chunk_id')
        .where('pieces_left', '=', 0)
        .orderBy('pieces_left')
        .orderBy('chunk_id')
        .limit(maxLooked)
        .as('repair_queue'),
    )
    .leftJoin('pieces as own', (join) =>
      join
        .onRef('own.chunk_id', '=', 'repair_queue.chunk_id')
        .on('own.keeper_id', '=', keeperId)
        .on('own.state', '=', 'durable')
        .on(hasNoCountedPiece),
    )
    .select(({ fn }) => [
      fn.countAll<number>().as('looked'),
      fn.count<number>('own.chunk_id').as('chunks'),
      fn.min<string | null>('own.chunk_id').as('example'),
    ])
    .executeTakeFirstOrThrow();
  return { chunks, example: example ?? '', atLeast: looked === maxLooked };
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

/** Queues those of the chunks that are live, for whatever was found with them. */
export async function queueAll(tx: MetadataTransaction, chunkIds: readonly string[]): Promise<void> {
  for (const page of batches(chunkIds)) await queueOffPolicy(tx, page, '', true);
}

/**
 * Queues those of the chunks that are live and off their policy; `because` says why they lack pieces, if they do
 * (reasons.ts).
 */
export async function queueForRepair(
  tx: MetadataTransaction,
  chunkIds: readonly string[],
  because = '',
): Promise<void> {
  for (const page of batches(chunkIds)) await queueOffPolicy(tx, page, because);
}

/**
 * The one place that fills the queue: a chunk is off its policy unless exactly as many of its pieces as the policy
 * asks for are on keepers that are not dead, and none of them on one that is being emptied.
 */
async function queueOffPolicy(
  tx: MetadataTransaction,
  chunkIds: readonly string[],
  because: string,
  all = false,
): Promise<void> {
  await tx.db
    .insertInto('repair_queue')
    .columns(['chunk_id', 'pieces_left', 'below_policy', 'because', 'policy_pieces', 'length_bytes'])
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
          eb
            .case()
            .when(eb.fn.count('keepers.keeper_id'), '<', eb.ref('chunks.pieces'))
            .then(1)
            .else(0)
            .end()
            .as('below_policy'),
          eb.val(because).as('because'),
          'chunks.pieces as policy_pieces',
          eb.fn.coalesce('chunks.length', eb.val(0)).as('length_bytes'),
        ])
        .where('chunks.chunk_id', 'in', chunkIds)
        .where('chunks.state', '=', 'live')
        .groupBy(['chunks.chunk_id', 'chunks.pieces', 'chunks.length'])
        .having((eb) =>
          eb.or([
            eb(eb.fn.count('keepers.keeper_id'), '!=', eb.ref('chunks.pieces')),
            eb(eb.fn.sum('keepers.draining'), '>', 0),
            eb(eb.val(all ? 1 : 0), '=', 1),
          ]),
        ),
    )
    // What is known last of a chunk that is queued already; why it lacks pieces may be known from before.
    .onConflict((conflict) =>
      conflict.column('chunk_id').doUpdateSet((eb) => ({
        pieces_left: eb.ref('excluded.pieces_left'),
        below_policy: eb.ref('excluded.below_policy'),
        because: eb
          .case()
          .when('excluded.because', '=', '')
          .then(eb.ref('repair_queue.because'))
          .else(eb.ref('excluded.because'))
          .end(),
      })),
    )
    .execute();
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

/**
 * One of the pieces of live chunks is to go: to be trashed, and not counted from now on. Whether that may be is the
 * caller's to know, in this transaction (S5).
 */
export async function recordSurplus(tx: MetadataTransaction, pieces: readonly PieceKey[]): Promise<void> {
  await upsertPieces(tx, pieces, 'garbage');
}

/** Of a row of pieces: its chunk lives on. */
export const isOfLiveChunk = sql<SqlBool>`exists (
  select 1 from chunks where chunks.chunk_id = pieces.chunk_id and chunks.state = 'live'
)`;

/** Of a row of pieces: its chunk is live and has fewer pieces that count than its policy asks for. */
export const isNeededAgain = sql<SqlBool>`exists (
  select 1 from chunks
  where chunks.chunk_id = pieces.chunk_id and chunks.state = 'live' and chunks.pieces > (
    select count(*) from pieces as counted
    join keepers on keepers.keeper_id = counted.keeper_id and keepers.dead = 0
    where counted.chunk_id = chunks.chunk_id and counted.state = 'durable'
  )
)`;

/**
 * Takes the giving up of those of a keeper's pieces back whose chunks have lost others since. Whether they are there is
 * for the keeper's next full report to say. An order to trash them must not be on its way: one that was when the keeper
 * seemed dead may still be carried out, and is told of then (`recordTrashed`).
 */
export async function takeSurplusBack(
  tx: MetadataTransaction,
  keeperId: string,
  chunkIds: readonly string[],
): Promise<void> {
  for (const page of batches(chunkIds)) {
    await tx.db
      .deleteFrom('pieces')
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'garbage')
      .where('chunk_id', 'in', page)
      .where(isNeededAgain)
      .execute();
  }
}

/**
 * The keeper says that these pieces are in its trash. One that counts again, as its giving up was taken back while the
 * keeper was at it, is lost; one that was taken back and is yet to be reported must not count by a report that listed
 * it before. Returns the chunks that cannot be read now.
 */
export async function recordTrashed(
  tx: MetadataTransaction,
  keeperId: string,
  chunkIds: readonly string[],
): Promise<Unreadable> {
  const counted: string[] = [];
  for (const page of batches(chunkIds)) {
    const live = await tx.db
      .selectFrom('chunks')
      .leftJoin('pieces', (join) =>
        join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.keeper_id', '=', keeperId),
      )
      .select(['chunks.chunk_id', 'pieces.state', 'because'])
      .where('chunks.chunk_id', 'in', page)
      .where('chunks.state', '=', 'live')
      .execute();
    await upsertPieces(
      tx,
      live.map(({ chunk_id: chunkId, because }) => ({ chunkId, keeperId, because: because ?? undefined })),
      'trashed',
    );
    await tx.db
      .deleteFrom('pieces')
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'garbage')
      .where('chunk_id', 'in', page)
      .execute();
    const lost = live.filter(({ state }) => state === 'durable').map((row) => row.chunk_id);
    await queueForRepair(tx, lost, reasons.lost(keeperId));
    counted.push(...lost);
  }
  return unreadableAmong(tx, counted);
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
