/**
 * How many copies a file's chunks have now, on keepers that are not dead.
 *
 * A file may have 100,000 chunks, so they are counted a page at a time, each in a read of its own: the version
 * cannot change, and other calls get their turn between the pages.
 */
import type { MetadataStore } from '../store/metadata-store.js';
import type { Durability } from './entry.js';

/** About 10 ms of counting. */
const pageSize = 2_000;

export async function durabilityOf(
  store: MetadataStore,
  version: number,
  policyPieces: number,
): Promise<Durability> {
  let chunks = 0;
  let chunksBelowPolicy = 0;
  let fewest = Infinity;
  let after = '';
  for (;;) {
    const page = await pageOfCounts(store, version, after);
    for (const { pieces } of page) {
      chunks += 1;
      if (pieces < policyPieces) chunksBelowPolicy += 1;
      fewest = Math.min(fewest, pieces);
    }
    const last = page.at(-1);
    if (!last || page.length < pageSize) break;
    after = last.chunk_id;
  }
  return { chunks, fewestPieces: chunks === 0 ? 0 : fewest, policyPieces, chunksBelowPolicy };
}

async function pageOfCounts(
  store: MetadataStore,
  version: number,
  after: string,
): Promise<{ chunk_id: string; pieces: number }[]> {
  return store.read(({ db }) =>
    db
      .selectFrom((from) =>
        from
          .selectFrom('extents')
          .select('chunk_id')
          .distinct()
          .where('version', '=', version)
          .where('chunk_id', '>', after)
          .orderBy('chunk_id')
          .limit(pageSize)
          .as('used'),
      )
      .leftJoin('pieces', (join) =>
        join.onRef('pieces.chunk_id', '=', 'used.chunk_id').on('pieces.state', '=', 'durable'),
      )
      .leftJoin('keepers', (join) =>
        join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
      )
      .select(({ fn }) => ['used.chunk_id', fn.count<number>('keepers.keeper_id').as('pieces')])
      .groupBy('used.chunk_id')
      .orderBy('used.chunk_id')
      .execute(),
  );
}
