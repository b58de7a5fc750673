/** The one way in which everybody walks over what a keeper has: along the index, page by page, each behind the last. */
import type { MetadataSnapshot } from '../store/metadata-store.js';

/**
 * The chunks of up to `limit` durable pieces of a keeper, behind chunk `after` ('' for the first), in order of chunk id.
 * A query to be run, narrowed, or joined with what is asked of each.
 */
export function pageOfPieces(
  { db }: Pick<MetadataSnapshot, 'db'>,
  keeperId: string,
  after: string,
  limit: number,
) {
  return db
    .selectFrom('pieces')
    .select('chunk_id')
    .where('keeper_id', '=', keeperId)
    .where('state', '=', 'durable')
    .where('chunk_id', '>', after)
    .orderBy('chunk_id')
    .limit(limit);
}
