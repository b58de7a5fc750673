/**
 * Taking a keeper's word for the pieces that it has.
 *
 * A piece counts only if its chunk is known and its bytes are the chunk's (same length and digest). A piece of a
 * chunk that is not sealed yet is remembered with what the keeper says, until the seal decides. A piece of a
 * chunk that was given up becomes a tombstone, to be trashed. A piece with other bytes does not count any more.
 * A chunk that the metadata does not know is left alone and counted: nothing is deleted for being unknown (S5).
 */
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataTransaction } from '../store/metadata-store.js';
import type { ChunkState, PieceState } from '../store/schema.js';
import {
  claimOf,
  currentStorages,
  recordClaims,
  recordDurable,
  recordGarbage,
  recordLost,
} from './pieces.js';

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
}

interface Known {
  readonly chunk_id: string;
  readonly chunkState: ChunkState;
  readonly length: number | null;
  readonly digest: string | null;
  readonly pieceState: PieceState | null;
  readonly claim: string | null;
}

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
      'chunks.state as chunkState',
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
  return row.pieceState === 'durable' ? 'nothing new' : 'durable';
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

/**
 * Records the pieces; no chunk may be named twice. Does nothing for a storage that was replaced since it spoke:
 * its pieces went with it.
 */
export async function adopt(
  tx: MetadataTransaction,
  { keeperId, storageId }: PieceSource,
  pieces: readonly PieceSummary[],
): Promise<Adoption> {
  const current = await currentStorages(tx, [keeperId]);
  if (current.get(keeperId) !== storageId) return { unknown: [], mismatched: 0 };
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
  }
  const keys = (verdict: Verdict) => byVerdict[verdict].map(({ chunkId }) => ({ chunkId, keeperId }));
  await recordDurable(tx, keys('durable'));
  await recordGarbage(tx, keys('garbage'));
  await recordLost(
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
    unknown: byVerdict.unknown.map(({ chunkId }) => chunkId),
    mismatched: byVerdict.mismatched.length,
  };
}
