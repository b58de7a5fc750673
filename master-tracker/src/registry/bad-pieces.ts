/**
 * Taking a keeper's word that a piece of its own is bad: damaged and set aside, or unreadable.
 *
 * Such a piece does not count any more, and its chunk joins the repair queue. Only the row goes: the keeper keeps the
 * bytes, in quarantine or in place, and what is put back there is taken up with its next full report. So a chunk all
 * of whose pieces are bad stands as it is: live, unreadable, first in the repair queue, which copies nothing that
 * cannot be read; its readers get DATA_LOSS, and what is left of it lies on the keepers, for a person to look at. No
 * order that removes anything follows from here (S5).
 */
import type { HoldfastError } from '@holdfast/shared';
import { batches } from '../store/batches.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import type { PieceSource } from './adopt.js';
import { currentStorages, recordLost } from './pieces.js';

export interface BadPiece {
  readonly chunkId: string;
  readonly error: HoldfastError;
}

/** A bad piece that counted until now. */
export interface BadPieceFound extends BadPiece {
  /** Pieces that the chunk has left on keepers that are not dead, and on any keeper. With none at all it is lost. */
  readonly countedLeft: number;
  readonly knownLeft: number;
}

/** True for an error that says that the piece is no copy; others (permissions, a busy keeper) say nothing of it. */
export function saysBad({ code }: HoldfastError): boolean {
  return ['CHECKSUM_MISMATCH', 'DATA_LOSS', 'NOT_FOUND', 'DISK_FAILED'].includes(code);
}

/** Takes bad pieces off the count; what did not count before is not in the answer. */
export async function recordBadPieces(
  tx: MetadataTransaction,
  { keeperId, storageId }: PieceSource,
  pieces: readonly BadPiece[],
): Promise<BadPieceFound[]> {
  const storages = await currentStorages(tx, [keeperId]);
  // Said of a storage that was replaced since.
  if (storages.get(keeperId) !== storageId) return [];
  const found: BadPieceFound[] = [];
  for (const page of batches(pieces.filter(({ error }) => saysBad(error)))) {
    const counting = await tx.db
      .selectFrom('pieces')
      .select('chunk_id')
      .where('keeper_id', '=', keeperId)
      .where('state', '=', 'durable')
      .where(
        'chunk_id',
        'in',
        page.map(({ chunkId }) => chunkId),
      )
      .execute();
    const chunkIds = counting.map((row) => row.chunk_id);
    if (chunkIds.length === 0) continue;
    await recordLost(tx, keeperId, chunkIds);
    const left = await piecesLeft(tx, chunkIds);
    for (const piece of page) {
      if (!chunkIds.includes(piece.chunkId)) continue;
      found.push({ ...piece, ...(left.get(piece.chunkId) ?? { countedLeft: 0, knownLeft: 0 }) });
    }
  }
  return found;
}

async function piecesLeft(
  { db }: MetadataTransaction,
  chunkIds: readonly string[],
): Promise<Map<string, { countedLeft: number; knownLeft: number }>> {
  const rows = await db
    .selectFrom('pieces')
    .leftJoin('keepers', (join) =>
      join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
    )
    .select(({ fn }) => [
      'pieces.chunk_id',
      fn.count<number>('pieces.keeper_id').as('known'),
      fn.count<number>('keepers.keeper_id').as('counted'),
    ])
    .where('pieces.chunk_id', 'in', chunkIds)
    .where('pieces.state', '=', 'durable')
    .groupBy('pieces.chunk_id')
    .execute();
  return new Map(rows.map((row) => [row.chunk_id, { countedLeft: row.counted, knownLeft: row.known }]));
}
