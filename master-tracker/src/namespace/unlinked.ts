/**
 * Deleting a tree: it vanishes in one transaction and is taken apart in the background.
 *
 * The failure it answers: deleting a directory of a million files row by row would either keep everybody waiting
 * for seconds or let readers watch it half deleted. So the top of the tree moves to a parent that no path leads
 * to, and a worker removes it from there, a page at a time, also after a restart.
 */
import { sql } from 'kysely';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { unlinkedId } from '../store/schema.js';
import { retireVersion } from './versions.js';
import type { EntryRow } from './resolve.js';

/** Takes a directory out of the namespace with all that is below it; returns how many entries that was. */
export async function unlinkTree(tx: MetadataTransaction, top: EntryRow): Promise<number> {
  const { files, directories, bytes } = await tx.db
    .withRecursive('tree', (db) =>
      db
        .selectFrom('entries')
        .select(['entry_id', 'type', 'version'])
        .where('entry_id', '=', top.entry_id)
        .unionAll((union) =>
          union
            .selectFrom('entries')
            .innerJoin('tree', 'entries.parent_id', 'tree.entry_id')
            .select(['entries.entry_id', 'entries.type', 'entries.version']),
        ),
    )
    .selectFrom('tree')
    .leftJoin('versions', 'versions.version', 'tree.version')
    .select(({ fn }) => [
      fn.count<number>('versions.version').as('files'),
      sql<number>`count(*) - count(versions.version)`.as('directories'),
      fn.coalesce(fn.sum<number>('versions.size_bytes'), sql<number>`0`).as('bytes'),
    ])
    .executeTakeFirstOrThrow();
  tx.count('files', -files);
  tx.count('directories', -directories);
  tx.count('logical_bytes', -bytes);
  await tx.db
    .updateTable('entries')
    .set({ parent_id: unlinkedId, name: String(top.entry_id) })
    .where('entry_id', '=', top.entry_id)
    .execute();
  return files + directories;
}

/** Takes apart up to `limit` unlinked entries; true if there may be more to do. */
export async function reapUnlinked(store: MetadataStore, limit: number): Promise<boolean> {
  const page = await store.read(({ db }) => pageOfUnlinked(db, limit));
  if (page.length === 0) return false;
  return store.mutate(async (tx) => {
    const rows = await pageOfUnlinked(tx.db, limit);
    const gone: number[] = [];
    for (const row of rows) {
      if (row.type === 'file') {
        await retireVersion(tx, row.version);
        gone.push(row.entry_id);
      } else if (!(await liftChildren(tx, row.entry_id, limit))) {
        gone.push(row.entry_id);
      } else {
        // One directory's children are enough for a page.
        break;
      }
    }
    if (gone.length > 0) await tx.db.deleteFrom('entries').where('entry_id', 'in', gone).execute();
    return true;
  });
}

async function pageOfUnlinked(db: MetadataTransaction['db'], limit: number): Promise<EntryRow[]> {
  return db.selectFrom('entries').selectAll().where('parent_id', '=', unlinkedId).limit(limit).execute();
}

/** Moves up to `limit` children of an unlinked directory beside it; false if it has none. */
async function liftChildren(tx: MetadataTransaction, entryId: number, limit: number): Promise<boolean> {
  const { numUpdatedRows } = await tx.db
    .updateTable('entries')
    .set({ parent_id: unlinkedId, name: sql<string>`cast(entry_id as text)` })
    .where('entry_id', 'in', (db) =>
      db.selectFrom('entries').select('entry_id').where('parent_id', '=', entryId).limit(limit),
    )
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}
