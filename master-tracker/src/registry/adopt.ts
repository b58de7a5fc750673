/**
 * Taking a keeper's word for the pieces that it has.
 *
 * A piece counts only if its chunk is known and its bytes are the chunk's (same length and digest). A piece of a
 * chunk that is not sealed yet is remembered with what the keeper says, until the seal decides. A piece of a
 * chunk that was given up becomes a tombstone, to be trashed; one that was itself given up stays one, as the order
 * to trash it may be on its way. A piece with other bytes does not count any more.
 * A chunk that the metadata does not know is left alone and counted: nothing is deleted for being unknown (S5).
 */
import { sql } from 'kysely';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataTransaction } from '../store/metadata-store.js';
import type { ChunkState, PieceState } from '../store/schema.js';
import {
  type Unreadable,
  claimOf,
  currentStorages,
  queueForRepair,
  recordClaims,
  recordDurable,
  recordGarbage,
  recordLost,
  unreadableAmong,
} from './pieces.js';
import { reasons } from './reasons.js';

/** What a keeper says of a piece that it holds. */
export interface PieceSummary {
  readonly chunkId: string;
  readonly lengthBytes: number;
  /** Hex. */
  readonly digest: string;
}

/** Whose word it is. */
export interface PieceSource {
  readonly keeperId: string;
  readonly storageId: string;
}

export interface Adoption {
  /** The chunks that the metadata does not know. */
  readonly unknown: readonly string[];
  /** With other bytes than their chunk's. */
  readonly mismatched: number;
  /** The chunks whose pieces count from now on. */
  readonly durable: readonly string[];
  /** Chunks that could not be read and can be now. */
  readonly found: Unreadable;
  /** Chunks that can be read no more. */
  readonly lost: Unreadable;
}

interface Known {
  readonly chunk_id: string;
  readonly chunkState: ChunkState;
  readonly length: number | null;
  readonly digest: string | null;
  readonly pieceState: PieceState | null;
  readonly claim: string | null;
}

/** That of a chunk that its upload has left, and that is given up soon, is as if it were. */
const chunkStateNow = sql<ChunkState>`case
  when chunks.state in ('allocated', 'sealed') and exists (
    select 1 from uploads where uploads.upload_id = chunks.upload_id and uploads.state != 'open'
  ) then 'garbage'
  else chunks.state
end`;

async function known(
  { db }: MetadataSnapshot,
  keeperId: string,
  chunkIds: readonly string[],
): Promise<Map<string, Known>> {
  const rows = await db
    .selectFrom('chunks')
    .leftJoin('pieces', (join) =>
      join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.keeper_id', '=', keeperId),
    )
    .select([
      'chunks.chunk_id',
      chunkStateNow.as('chunkState'),
      'length',
      'digest',
      'pieces.state as pieceState',
      'claim',
    ])
    .where('chunks.chunk_id', 'in', chunkIds)
    .execute();
  return new Map(rows.map((row) => [row.chunk_id, row]));
}

type Verdict = 'nothing new' | 'durable' | 'claim' | 'garbage' | 'unknown' | 'mismatched';

function judge(piece: PieceSummary, row: Known | undefined): Verdict {
  if (!row) return 'unknown';
  if (row.chunkState === 'garbage') return row.pieceState === 'garbage' ? 'nothing new' : 'garbage';
  if (row.chunkState === 'allocated') {
    return row.claim === claimOf(piece.lengthBytes, piece.digest) ? 'nothing new' : 'claim';
  }
  if (row.length !== piece.lengthBytes || row.digest !== piece.digest) return 'mismatched';
  // 'planned' or none: all others say that the keeper has it, or that it is to go.
  return row.pieceState === 'planned' || row.pieceState === null ? 'durable' : 'nothing new';
}

/** Those of the pieces that would change something; cheap, and needs no sync. */
export async function newsIn(
  snapshot: MetadataSnapshot,
  keeperId: string,
  pieces: readonly PieceSummary[],
): Promise<PieceSummary[]> {
  const news: PieceSummary[] = [];
  for (const page of batches(pieces)) {
    const rows = await known(
      snapshot,
      keeperId,
      page.map((piece) => piece.chunkId),
    );
    news.push(...page.filter((piece) => judge(piece, rows.get(piece.chunkId)) !== 'nothing new'));
  }
  return news;
}

export interface AdoptOptions {
  /** Why the keeper has a piece that nobody had planned there (reasons.ts). */
  readonly whyThere?: (chunkId: string) => string;
  /** When the keeper said that it had just written them; absent if it only says that it has them. */
  readonly writtenAtUnixMs?: number;
}

const nothing: Adoption = {
  ...{ durable: [], unknown: [], mismatched: 0 },
  ...{ found: { chunks: 0, example: '' }, lost: { chunks: 0, example: '' } },
};

/**
 * Records the pieces; no chunk may be named twice. Does nothing for a storage that was replaced since it spoke:
 * its pieces went with it.
 */
export async function adopt(
  tx: MetadataTransaction,
  { keeperId, storageId }: PieceSource,
  pieces: readonly PieceSummary[],
  { whyThere = () => reasons.reported, writtenAtUnixMs }: AdoptOptions = {},
): Promise<Adoption> {
  const current = await currentStorages(tx, [keeperId]);
  if (current.get(keeperId) !== storageId) return nothing;
  const planned = new Set<string>();
  const byVerdict: Record<Verdict, PieceSummary[]> = {
    'nothing new': [],
    durable: [],
    claim: [],
    garbage: [],
    unknown: [],
    mismatched: [],
  };
  for (const page of batches(pieces)) {
    const rows = await known(
      tx,
      keeperId,
      page.map((piece) => piece.chunkId),
    );
    for (const piece of page) byVerdict[judge(piece, rows.get(piece.chunkId))].push(piece);
    for (const row of rows.values()) if (row.pieceState === 'planned') planned.add(row.chunk_id);
  }
  const keys = (verdict: Verdict) => byVerdict[verdict].map(({ chunkId }) => ({ chunkId, keeperId }));
  const durable = byVerdict.durable.map(({ chunkId }) => chunkId);
  const found = await unreadableAmong(tx, durable);
  await recordDurable(
    tx,
    durable.map((chunkId) => ({
      ...{ chunkId, keeperId, because: planned.has(chunkId) ? reasons.upload : whyThere(chunkId) },
      writtenAtUnixMs,
    })),
  );
  // The piece may be one more than its chunk needs, or the last that it lacked.
  await queueForRepair(tx, durable);
  await recordGarbage(tx, keys('garbage'));
  const lost = await recordLost(
    tx,
    keeperId,
    byVerdict.mismatched.map((piece) => piece.chunkId),
  );
  await recordClaims(
    tx,
    byVerdict.claim.map(({ chunkId, lengthBytes, digest }) => ({
      chunkId,
      keeperId,
      claim: claimOf(lengthBytes, digest),
    })),
  );
  return {
    durable,
    unknown: byVerdict.unknown.map(({ chunkId }) => chunkId),
    mismatched: byVerdict.mismatched.length,
    found,
    lost,
  };
}
