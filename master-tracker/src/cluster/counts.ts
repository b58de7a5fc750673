/**
 * What status counts in the metadata, all of one moment, so that its numbers fit together.
 *
 * The failure it answers: counting every chunk's pieces takes minutes where there are many, and not counting them
 * is how a cluster comes to call itself healthy. What is in the repair queue is looked at chunk by chunk; what is
 * not has all its pieces, because every transaction that takes one away puts the chunk in the queue, but for the death
 * of a keeper, whose chunks join it page by page (registry/keeper-changes.ts). How many chunks
 * there are, by policy, is kept by the transactions that make and give them up.
 */
import { piecesNotQueued } from '../registry/keeper-changes.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';

/** Of a longer queue only this much is looked at chunk by chunk. About 50 ms. */
const maxQueueCounted = 20_000;

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
  readonly chunksUnreadable: number;
  /** Chunks that were not looked at, behind a long queue or not in it yet: they count as below policy, and have what they had when queued at least. */
  readonly chunksNotCounted: number;
  /** What copies of all that is missing amount to, in bytes; at most that for chunks that were not looked at. */
  readonly bytesMissing: number;
  /** Why chunks wait (registry/reasons.ts), of those that were looked at; the most frequent first. */
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
  const { chunksQueued } = await db
    .selectFrom('repair_queue')
    .select(({ fn }) => fn.countAll<number>().as('chunksQueued'))
    .where('below_policy', '=', 1)
    .executeTakeFirstOrThrow();
  const looked = await countLooked(snapshot, maxLooked);
  const chunksBehind = Math.max(0, chunksQueued - maxLooked);
  const behind = chunksBehind > 0 ? await countUnlooked(snapshot, maxLooked) : [];
  const totals = await db.selectFrom('chunk_counts').selectAll().execute();
  const notQueued = notYetQueued(totals, [...looked, ...behind], await piecesNotQueued(snapshot));
  const unlooked = [...behind, ...notQueued];
  const chunksNotCounted = chunksBehind + chunksIn(notQueued);
  const byKeeper = await db
    .selectFrom('pieces')
    .select(({ fn }) => ['keeper_id', 'state', fn.countAll<number>().as('pieces')])
    .groupBy(['keeper_id', 'state'])
    .execute();
  const dead = await db.selectFrom('keepers').select('keeper_id').where('dead', '=', 1).execute();
  const isBelow = ({ countedPieces, policyPieces }: PieceCount): boolean => countedPieces < policyPieces;
  return {
    chunks: totals.reduce((sum, total) => sum + total.chunks, 0),
    pieceCounts: matrixOf(totals, [...looked, ...unlooked]),
    chunksQueued: chunksQueued + chunksIn(notQueued),
    chunksBelowPolicy: chunksIn(looked.filter(isBelow)) + chunksNotCounted,
    chunksUnreadable: chunksIn(looked.filter(({ countedPieces }) => countedPieces === 0)),
    chunksNotCounted,
    bytesMissing: [...looked, ...unlooked].reduce((sum, row) => sum + row.bytesMissing, 0),
    reasons: await countReasons(snapshot),
    piecesToReclaim: byKeeper
      .filter((row) => row.state === 'garbage')
      .reduce((sum, row) => sum + row.pieces, 0),
    pieces: new Map(
      byKeeper.filter((row) => row.state === 'durable').map((row) => [row.keeper_id, row.pieces]),
    ),
    dead: new Set(dead.map((keeper) => keeper.keeper_id)),
  };
}

function chunksIn(counts: readonly PieceCount[]): number {
  return counts.reduce((sum, { chunks }) => sum + chunks, 0);
}

/** The front of the queue, the fewest pieces first, by what its chunks have now. */
function countLooked({ db }: MetadataSnapshot, maxLooked: number): Promise<QueuedCount[]> {
  return db
    .selectFrom((from) =>
      from
        .selectFrom((queue) =>
          queue
            .selectFrom('repair_queue')
            .select('chunk_id')
            .where('below_policy', '=', 1)
            .orderBy('pieces_left')
            .orderBy('chunk_id')
            .limit(maxLooked)
            .as('queued'),
        )
        .innerJoin('chunks', 'chunks.chunk_id', 'queued.chunk_id')
        .leftJoin('pieces', (join) =>
          join.onRef('pieces.chunk_id', '=', 'queued.chunk_id').on('pieces.state', '=', 'durable'),
        )
        .leftJoin('keepers', (join) =>
          join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
        )
        .select(({ fn }) => [
          'chunks.pieces',
          'chunks.length',
          fn.count<number>('keepers.keeper_id').as('counted'),
        ])
        .groupBy(['queued.chunk_id', 'chunks.pieces', 'chunks.length'])
        .as('standing'),
    )
    .select((eb) => [
      'pieces as policyPieces',
      'counted as countedPieces',
      eb.fn.countAll<number>().as('chunks'),
      eb.fn
        .sum<number>(
          eb
            .case()
            .when('counted', '<', eb.ref('pieces'))
            .then(eb('length', '*', eb.parens('pieces', '-', eb.ref('counted'))))
            .else(0)
            .end(),
        )
        .as('bytesMissing'),
    ])
    .groupBy(['pieces', 'counted'])
    .execute();
}

/** The rest of the queue by what its chunks had when they were queued: about 1 µs a chunk. */
function countUnlooked({ db }: MetadataSnapshot, maxLooked: number): Promise<QueuedCount[]> {
  return db
    .selectFrom((from) =>
      from
        .selectFrom('repair_queue')
        .select(['chunk_id', 'pieces_left'])
        .where('below_policy', '=', 1)
        .orderBy('pieces_left')
        .orderBy('chunk_id')
        .limit(Number.MAX_SAFE_INTEGER)
        .offset(maxLooked)
        .as('queued'),
    )
    .innerJoin('chunks', 'chunks.chunk_id', 'queued.chunk_id')
    .select((eb) => [
      'chunks.pieces as policyPieces',
      'queued.pieces_left as countedPieces',
      eb.fn.countAll<number>().as('chunks'),
      eb.fn
        .sum<number>(eb('length', '*', eb.parens('chunks.pieces', '-', eb.ref('queued.pieces_left'))))
        .as('bytesMissing'),
    ])
    .groupBy(['chunks.pieces', 'queued.pieces_left'])
    .execute();
}

function countReasons({ db }: MetadataSnapshot): Promise<Counts['reasons'][number][]> {
  return db
    .selectFrom((from) =>
      from
        .selectFrom('repair_queue')
        .select('because')
        .where('below_policy', '=', 1)
        .limit(maxQueueCounted)
        .as('queued'),
    )
    .select(({ fn }) => ['because', fn.countAll<number>().as('chunks')])
    .groupBy('because')
    .orderBy('chunks', 'desc')
    .execute();
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
