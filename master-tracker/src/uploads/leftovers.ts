/**
 * What an upload leaves when it is over: the chunks that no file uses.
 *
 * The failure it answers: an upload of 200,000 chunks is given up, and making tombstones of all their pieces in one
 * transaction holds everybody up for seconds. So the upload's row says that it is over, which is all that its end
 * takes: from then on nothing of it is sealed, committed or counted, and what keepers say of its chunks makes
 * tombstones (registry/adopt.ts). Its chunks are then given up page by page, each page with the place to go on from in
 * the same transaction.
 */
import { giveUpChunks } from '../registry/pieces.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';

/** Chunks that one transaction looks at: about 20 ms with three pieces each. */
const pageSize = 500;

/** What a session that is over had left, if anything. Small ones leave nothing for later. */
export async function giveUpLeftovers(tx: MetadataTransaction, uploadId: string): Promise<void> {
  await giveUpPage(tx, uploadId, '');
}

/** One page of the sessions that are over; true if there may be more. */
export async function giveUpNextPage(store: MetadataStore): Promise<boolean> {
  const find = async (snapshot: MetadataSnapshot) => (await snapshot.run(withLeftovers, {}))[0];
  if (!(await store.read(find))) return false;
  return store.mutate(async (tx) => {
    const next = await find(tx);
    if (next) await giveUpPage(tx, next.upload_id, next.given_up_through ?? '');
    return next !== undefined;
  });
}

const withLeftovers = prepare((db) =>
  db
    .selectFrom('uploads')
    .select(['upload_id', 'given_up_through'])
    .where('given_up_through', 'is not', null)
    .limit(1),
);

const chunksOf = prepare((db, args: { uploadId: string; from: string }) =>
  db
    .selectFrom('chunks')
    .select(['chunk_id', 'state'])
    .where('upload_id', '=', args.uploadId)
    .where('chunk_id', '>', args.from)
    .orderBy('chunk_id')
    .limit(pageSize),
);

const lookedThrough = prepare((db, args: { uploadId: string; through: string | null }) =>
  db.updateTable('uploads').set({ given_up_through: args.through }).where('upload_id', '=', args.uploadId),
);

async function giveUpPage(tx: MetadataTransaction, uploadId: string, from: string): Promise<void> {
  const page = await tx.run(chunksOf, { uploadId, from });
  const unused = page.filter(({ state }) => state === 'allocated' || state === 'sealed');
  await giveUpChunks(
    tx,
    unused.map((row) => row.chunk_id),
  );
  const through = page.length < pageSize ? null : (page.at(-1)?.chunk_id ?? null);
  await tx.run(lookedThrough, { uploadId, through });
}
