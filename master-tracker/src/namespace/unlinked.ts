/**
 * Deleting a tree: it vanishes in one transaction and is taken apart in the background.
 *
 * The failure it answers: deleting a directory of a million files row by row would either keep everybody waiting
 * for seconds or let readers watch it half deleted. So the top of the tree moves to a parent that no path leads
 * to, and a worker removes it from there, a page at a time, also after a restart. What is known of an unlinked
 * entry is where it was and when it left: its files go to the trash with that, its directories hand it down to
 * what was in them.
 */
import { sql } from 'kysely';
import { batches } from '../store/batches.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { unlinkedId } from '../store/schema.js';
import type { EntryRow } from './resolve.js';
import { type Left, type TrashRules, leftNow, retireVersions, trashVersion } from './versions.js';

/** Takes a directory out of the namespace with all that is below it; returns how many entries that was. */
export async function unlinkTree(
  tx: MetadataTransaction,
  top: EntryRow,
  path: string,
  rules: TrashRules,
): Promise<number> {
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
  await tx.db
    .insertInto('unlinked')
    .values({ entry_id: top.entry_id, path, ...leftNow(tx, rules) })
    .execute();
  return files + directories;
}

/** Takes apart up to `limit` unlinked entries; true if there may be more to do. */
export async function reapUnlinked(store: MetadataStore, rules: TrashRules, limit: number): Promise<boolean> {
  const page = await store.read(({ db }) => pageOfUnlinked(db, limit));
  if (page.length === 0) return false;
  return store.mutate(async (tx) => {
    const rows = await pageOfUnlinked(tx.db, limit);
    const gone: number[] = [];
    for (const row of rows) {
      if (row.type === 'file') {
        await trashUnlinked(tx, row, rules);
        gone.push(row.entry_id);
      } else if (!(await liftChildren(tx, row, limit))) {
        gone.push(row.entry_id);
      } else {
        // One directory's children are enough for a page.
        break;
      }
    }
    for (const ids of batches(gone)) {
      await tx.db.deleteFrom('entries').where('entry_id', 'in', ids).execute();
      await tx.db.deleteFrom('unlinked').where('entry_id', 'in', ids).execute();
    }
    return true;
  });
}

interface UnlinkedRow {
  readonly entry_id: number;
  readonly type: 'file' | 'directory';
  readonly version: number;
  readonly size_bytes: number | null;
  /** Where it was and when it left; undefined for what was deleted before there was a trash. */
  readonly was: ({ readonly path: string } & Left) | undefined;
}

async function pageOfUnlinked(db: MetadataTransaction['db'], limit: number): Promise<UnlinkedRow[]> {
  const rows = await db
    .selectFrom('entries')
    .leftJoin('unlinked', 'unlinked.entry_id', 'entries.entry_id')
    .leftJoin('versions', 'versions.version', 'entries.version')
    .select(['entries.entry_id', 'type', 'entries.version', 'size_bytes'])
    .select(['path', 'left_transaction_id', 'left_at_unix_ms', 'left_served_ms'])
    .where('parent_id', '=', unlinkedId)
    .limit(limit)
    .execute();
  return rows.map(({ path, left_transaction_id, left_at_unix_ms, left_served_ms, ...row }) => ({
    ...row,
    was:
      path === null || left_transaction_id === null || left_at_unix_ms === null || left_served_ms === null
        ? undefined
        : { path, left_transaction_id, left_at_unix_ms, left_served_ms },
  }));
}

async function trashUnlinked(
  tx: MetadataTransaction,
  { version, size_bytes, was }: UnlinkedRow,
  rules: TrashRules,
): Promise<void> {
  const sizeBytes = size_bytes ?? 0;
  if (!was) return retireVersions(tx, [{ version, size_bytes: sizeBytes }]);
  const { path, ...left } = was;
  return trashVersion(tx, { version, sizeBytes, path, replaced: false }, rules, left);
}

/** Moves up to `limit` children of an unlinked directory beside it; false if it has none. */
async function liftChildren(
  tx: MetadataTransaction,
  { entry_id, was }: UnlinkedRow,
  limit: number,
): Promise<boolean> {
  const children = await tx.db
    .selectFrom('entries')
    .select(['entry_id', 'name'])
    .where('parent_id', '=', entry_id)
    .limit(limit)
    .execute();
  for (const page of batches(children)) {
    if (was) {
      const places = page.map((child) => ({ ...was, ...child, path: `${was.path}/${child.name}` }));
      await tx.db
        .insertInto('unlinked')
        .values(places.map(({ name: _name, ...place }) => place))
        .execute();
    }
    await tx.db
      .updateTable('entries')
      .set({ parent_id: unlinkedId, name: sql<string>`cast(entry_id as text)` })
      .where(
        'entry_id',
        'in',
        page.map((child) => child.entry_id),
      )
      .execute();
  }
  return children.length > 0;
}

/**
 * Whether anything that was at or below a path, or in a tree that held it, is still to be taken apart: of what
 * left up to a transaction. A few look-ups by index.
 */
export async function isBeingTakenApart(
  { db }: Pick<MetadataTransaction, 'db'>,
  path: string,
  throughTransactionId: number,
): Promise<boolean> {
  const prefix = path === '/' ? '' : path;
  const holding = prefix.split('/').map((_name, depth, names) => names.slice(0, depth + 1).join('/'));
  const found = await db
    .selectFrom('unlinked')
    .select('entry_id')
    .where('left_transaction_id', '<=', throughTransactionId)
    .where((eb) =>
      eb.or([
        ...[...batches(holding)].map((paths) => eb('path', 'in', paths)),
        // '0' is the byte after '/': all that begins with the path and a '/'.
        eb.and([eb('path', '>', `${prefix}/`), eb('path', '<', `${prefix}0`)]),
      ]),
    )
    .limit(1)
    .executeTakeFirst();
  return found !== undefined;
}
