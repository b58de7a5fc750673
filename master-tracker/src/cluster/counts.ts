/**
 * What status counts in the metadata, all of one moment, so that its numbers fit together.
 *
 * The failure it answers: counting every chunk's pieces takes minutes where there are many, and not counting them
 * is how a cluster comes to call itself healthy. What is in the repair queue is looked at chunk by chunk; what is
 * not has all its pieces, because every transaction that takes one away puts the chunk in the queue, but for the death
 * of a keeper, whose chunks join it page by page (registry/keeper-changes.ts). How many chunks
 * there are, by policy, is kept by the transactions that make and give them up; how long the queue is and how many
 * pieces each keeper has, by the database itself (store/migrations.ts). So a status costs the same, however many there are.
 */
import type { Selectable } from 'kysely';
import { piecesNotQueued } from '../registry/keeper-changes.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';
import type { MetadataTables } from '../store/schema.js';

/** Of a longer queue only this much is looked at chunk by chunk. About 20 ms. */
const maxQueueCounted = 5_000;

/** How many chunks are to have so many pieces and have so many on keepers that are not dead. */
interface PieceCount {
  readonly policyPieces: number;
  readonly countedPieces: number;
  readonly chunks: number;
}

export interface Counts {
  /** Chunks of files. */
  readonly chunks: number;
  /** Every chunk once, the fewest pieces first. Chunks that were not looked at stand with what they have at least. */
  readonly pieceCounts: readonly PieceCount[];
  readonly chunksQueued: number;
  readonly chunksBelowPolicy: number;
  /** Of those that were looked at, which are those that had the fewest pieces when they were queued. */
  readonly chunksUnreadable: number;
  /** Chunks that were not looked at, behind a long queue or not in it yet: they count as below policy, and have what they had when queued at least. */
  readonly chunksNotCounted: number;
  /** What copies of all that is missing amount to, in bytes; at most that for chunks that were not looked at. */
  readonly bytesMissing: number;
  /** Why chunks wait (registry/reasons.ts); the most frequent first. */
  readonly reasons: readonly { readonly because: string; readonly chunks: number }[];
  readonly piecesToReclaim: number;
  /** Durable pieces by keeper. */
  readonly pieces: ReadonlyMap<string, number>;
  /** The keepers whose pieces did not count. */
  readonly dead: ReadonlySet<string>;
}

interface QueuedCount extends PieceCount {
  readonly bytesMissing: number;
}

/** `maxLooked` chunks of the queue are looked at one by one. */
export async function count(snapshot: MetadataSnapshot, maxLooked = maxQueueCounted): Promise<Counts> {
  const { db } = snapshot;
  const queued = await db.selectFrom('queue_counts').selectAll().where('chunks', '>', 0).execute();
  const chunksQueued = queued.reduce((sum, { chunks }) => sum + chunks, 0);
  const front = await countFront(snapshot, maxLooked);
  const looked = front.map(({ policyPieces, countedPieces, chunks, bytes }) =>
    standing(policyPieces, countedPieces, chunks, bytes),
  );
  const behind = countBehind(queued, front);
  const totals = await db.selectFrom('chunk_counts').selectAll().execute();
  const notQueued = notYetQueued(totals, [...looked, ...behind], await piecesNotQueued(snapshot));
  const unlooked = [...behind, ...notQueued];
  const byKeeper = await db.selectFrom('piece_counts').selectAll().execute();
  const dead = await db.selectFrom('keepers').select('keeper_id').where('dead', '=', 1).execute();
  const isBelow = ({ countedPieces, policyPieces }: PieceCount): boolean => countedPieces < policyPieces;
  return {
    chunks: totals.reduce((sum, total) => sum + total.chunks, 0),
    pieceCounts: matrixOf(totals, [...looked, ...unlooked]),
    chunksQueued: chunksQueued + chunksIn(notQueued),
    chunksBelowPolicy: chunksIn(looked.filter(isBelow)) + chunksIn(unlooked),
    chunksUnreadable: chunksIn(looked.filter(({ countedPieces }) => countedPieces === 0)),
    chunksNotCounted: chunksIn(unlooked),
    bytesMissing: [...looked, ...unlooked].reduce((sum, row) => sum + row.bytesMissing, 0),
    reasons: reasonsOf(queued),
    piecesToReclaim: byKeeper
      .filter((row) => row.state === 'garbage')
      .reduce((sum, row) => sum + row.pieces, 0),
    pieces: new Map(
      byKeeper.filter((row) => row.state === 'durable').map((row) => [row.keeper_id, row.pieces]),
    ),
    dead: new Set(dead.map((keeper) => keeper.keeper_id)),
  };
}

function standing(policyPieces: number, countedPieces: number, chunks: number, bytes: number): QueuedCount {
  const bytesMissing = bytes * Math.max(0, policyPieces - countedPieces);
  return { policyPieces, countedPieces, chunks, bytesMissing };
}

function chunksIn(counts: readonly PieceCount[]): number {
  return counts.reduce((sum, { chunks }) => sum + chunks, 0);
}

/** Chunks of the front of the queue that are to have, had when they were queued, and have the same numbers of pieces. */
interface FrontCount extends PieceCount {
  readonly piecesLeft: number;
  readonly bytes: number;
}

/** The front of the queue, the fewest pieces first, by what its chunks have now. */
function countFront({ db }: MetadataSnapshot, maxLooked: number): Promise<FrontCount[]> {
  return db
    .selectFrom((from) =>
      from
        .selectFrom((queue) =>
          queue
            .selectFrom('repair_queue')
            .select(['chunk_id', 'pieces_left', 'policy_pieces', 'length_bytes'])
            .where('below_policy', '=', 1)
            .orderBy('pieces_left')
            .orderBy('chunk_id')
            .limit(maxLooked)
            .as('queued'),
        )
        .leftJoin('pieces', (join) =>
          join.onRef('pieces.chunk_id', '=', 'queued.chunk_id').on('pieces.state', '=', 'durable'),
        )
        .leftJoin('keepers', (join) =>
          join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
        )
        .select(({ fn }) => [
          'queued.pieces_left',
          'queued.policy_pieces',
          'queued.length_bytes',
          fn.count<number>('keepers.keeper_id').as('counted'),
        ])
        .groupBy(['queued.chunk_id', 'queued.pieces_left', 'queued.policy_pieces', 'queued.length_bytes'])
        .as('standing'),
    )
    .select(({ fn }) => [
      'policy_pieces as policyPieces',
      'pieces_left as piecesLeft',
      'counted as countedPieces',
      fn.countAll<number>().as('chunks'),
      fn.sum<number>('length_bytes').as('bytes'),
    ])
    .groupBy(['policy_pieces', 'pieces_left', 'counted'])
    .execute();
}

type QueueCount = Readonly<Selectable<MetadataTables['queue_counts']>>;

/** The rest of the queue, by what its chunks had when they were queued: all of it without its front. */
function countBehind(queued: readonly QueueCount[], front: readonly FrontCount[]): QueuedCount[] {
  const sums = new Map<string, { policyPieces: number; piecesLeft: number; chunks: number; bytes: number }>();
  const add = (policyPieces: number, piecesLeft: number, chunks: number, bytes: number): void => {
    const key = `${policyPieces} ${piecesLeft}`;
    const sum = sums.get(key) ?? { policyPieces, piecesLeft, chunks: 0, bytes: 0 };
    sums.set(key, { ...sum, chunks: sum.chunks + chunks, bytes: sum.bytes + bytes });
  };
  for (const row of queued) add(row.policy_pieces, row.pieces_left, row.chunks, row.bytes);
  for (const row of front) add(row.policyPieces, row.piecesLeft, -row.chunks, -row.bytes);
  return [...sums.values()]
    .filter(({ chunks }) => chunks > 0)
    .map(({ policyPieces, piecesLeft, chunks, bytes }) => standing(policyPieces, piecesLeft, chunks, bytes));
}

function reasonsOf(queued: readonly QueueCount[]): Counts['reasons'] {
  const chunks = new Map<string, number>();
  for (const row of queued) chunks.set(row.because, row.chunks + (chunks.get(row.because) ?? 0));
  return [...chunks].map(([because, sum]) => ({ because, chunks: sum })).sort((a, b) => b.chunks - a.chunks);
}

/**
 * What is to be queued for keepers that have just died, as chunks that lack one piece each: of which policy, and how
 * many bytes, shows when they are queued.
 */
function notYetQueued(
  totals: readonly { readonly pieces: number; readonly chunks: number }[],
  queued: readonly PieceCount[],
  pieces: number,
): QueuedCount[] {
  let rest = pieces;
  return totals.map(({ pieces: policyPieces, chunks }) => {
    const waiting = chunksIn(queued.filter((each) => each.policyPieces === policyPieces));
    const taken = Math.max(0, Math.min(rest, chunks - waiting));
    rest -= taken;
    return { policyPieces, countedPieces: policyPieces - 1, chunks: taken, bytesMissing: 0 };
  });
}

/** Every chunk in exactly one count: what is not queued has all its pieces. */
function matrixOf(
  totals: readonly { readonly pieces: number; readonly chunks: number }[],
  queued: readonly PieceCount[],
): PieceCount[] {
  const counts = new Map<string, PieceCount>();
  const add = ({ policyPieces, countedPieces, chunks }: PieceCount): void => {
    const key = `${policyPieces} ${countedPieces}`;
    counts.set(key, { policyPieces, countedPieces, chunks: chunks + (counts.get(key)?.chunks ?? 0) });
  };
  queued.forEach(add);
  for (const { pieces, chunks } of totals) {
    const waiting = chunksIn(queued.filter(({ policyPieces }) => policyPieces === pieces));
    add({ policyPieces: pieces, countedPieces: pieces, chunks: chunks - waiting });
  }
  return [...counts.values()]
    .filter(({ chunks }) => chunks !== 0)
    .sort((a, b) => a.countedPieces - b.countedPieces || a.policyPieces - b.policyPieces);
}
