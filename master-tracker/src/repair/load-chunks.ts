/** Chunks as the planners see them, out of the metadata. */
import { batches } from '../store/batches.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';
import type { RepairChunk } from './repair-view.js';

/** With what an order to copy it says. */
export interface QueuedChunk extends RepairChunk {
  /** Hex. */
  readonly digest: string;
}

/** Those of the chunks that are live, in the order given. */
export async function loadChunks(
  { db }: MetadataSnapshot,
  chunkIds: readonly string[],
): Promise<QueuedChunk[]> {
  const found: QueuedChunk[] = [];
  for (const page of batches(chunkIds)) {
    const rows = await db
      .selectFrom('chunks')
      .select(['chunk_id', 'length', 'digest', 'pieces'])
      .where('chunk_id', 'in', page)
      .where('state', '=', 'live')
      .execute();
    const pieces = await db
      .selectFrom('pieces')
      .select(['chunk_id', 'keeper_id', 'state'])
      .where('chunk_id', 'in', page)
      .execute();
    const durable = new Map<string, string[]>();
    const barred = new Map<string, string[]>();
    for (const { chunk_id, keeper_id, state } of pieces) {
      const keepers = state === 'durable' ? durable : barred;
      keepers.set(chunk_id, [...(keepers.get(chunk_id) ?? []), keeper_id]);
    }
    const byId = new Map(rows.map((row) => [row.chunk_id, row]));
    for (const chunkId of page) {
      const row = byId.get(chunkId);
      if (!row) continue;
      found.push({
        chunkId,
        lengthBytes: row.length ?? 0,
        digest: row.digest ?? '',
        policy: { pieces: row.pieces, needed: 1, minWrite: 1 },
        pieces: (durable.get(chunkId) ?? []).map((keeperId) => ({
          keeperId,
          pieceIndex: 0,
          state: 'durable' as const,
        })),
        barredKeeperIds: barred.get(chunkId) ?? [],
      });
    }
  }
  return found;
}
