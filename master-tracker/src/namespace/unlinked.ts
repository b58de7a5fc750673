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
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import { unlinkedId } from '../store/schema.js';
import type { EntryRow } from './resolve.js';
import { type Left, type TrashRules, leftNow, retireVersions, trashVersions } from './versions.js';

/** Takes a directory out of the namespace with all that is below it; returns how many entries that was. */
export async function unlinkTree(
  tx: MetadataTransaction,
  top: EntryRow,
  path: string,
  rules: TrashRules,
): Promise<number> {
  const { files, directories, bytes } = await countTrees(tx, 'entry_id', top.entry_id);
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

/** What there is in the trees whose tops have this id, or this parent; the tops included. */
export async function countTrees(
  { db }: Pick<MetadataTransaction, 'db'>,
  column: 'entry_id' | 'parent_id',
  id: number,
): Promise<{ files: number; directories: number; bytes: number }> {
  return db
    .withRecursive('tree', (from) =>
      from
        .selectFrom('entries')
        .select(['entry_id', 'type', 'version'])
        .where(column, '=', id)
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
}

/** Takes apart up to `limit` unlinked entries; true if there may be more to do. */
export async function reapUnlinked(store: MetadataStore, rules: TrashRules, limit: number): Promise<boolean> {
  const page = await store.read((snapshot) => pageOfUnlinked(snapshot, limit));
  if (page.length === 0) return false;
  return store.mutate(async (tx) => {
    const gone: number[] = [];
    let left = limit;
    for (const row of await pageOfUnlinked(tx, limit)) {
      if (left <= 0) break;
      const taken = row.type === 'file' ? 0 : await takeOut(tx, row, left, rules);
      // Only trackers without a trash have left files here.
      if (row.type === 'file') await retireVersions(tx, [sized(row)]);
      // A directory that may have more in it stays for the next time.
      if (taken < left) gone.push(row.entry_id);
      left -= taken + 1;
    }
    await removeRows(tx, gone);
    for (const ids of batches(gone)) {
      await tx.db.deleteFrom('unlinked').where('entry_id', 'in', ids).execute();
    }
    return true;
  });
}

type Was = { readonly path: string } & Left;

interface EntryOfTree {
  readonly entry_id: number;
  readonly type: 'file' | 'directory';
  readonly version: number;
  /** null for a directory. */
  readonly size_bytes: number | null;
}

interface UnlinkedRow extends EntryOfTree {
  /** Where it was and when it left; undefined for what was deleted before there was a trash. */
  readonly was: Was | undefined;
}

const unlinkedRows = prepare((db, { limit }: { limit: number }) =>
  db
    .selectFrom('entries')
    .leftJoin('unlinked', 'unlinked.entry_id', 'entries.entry_id')
    .leftJoin('versions', 'versions.version', 'entries.version')
    .select(['entries.entry_id', 'type', 'entries.version', 'size_bytes'])
    .select(['path', 'left_transaction_id', 'left_at_unix_ms', 'left_served_ms'])
    .where('parent_id', '=', unlinkedId)
    .limit(limit),
);

async function pageOfUnlinked(snapshot: MetadataSnapshot, limit: number): Promise<UnlinkedRow[]> {
  const rows = await snapshot.run(unlinkedRows, { limit });
  return rows.map(({ path, left_transaction_id, left_at_unix_ms, left_served_ms, ...row }) => ({
    ...row,
    was:
      path === null || left_transaction_id === null || left_at_unix_ms === null || left_served_ms === null
        ? undefined
        : { path, left_transaction_id, left_at_unix_ms, left_served_ms },
  }));
}

function sized({ version, size_bytes }: EntryOfTree): { version: number; size_bytes: number } {
  return { version, size_bytes: size_bytes ?? 0 };
}

async function removeRows(tx: MetadataTransaction, entryIds: readonly number[]): Promise<void> {
  for (const ids of batches(entryIds)) {
    await tx.db.deleteFrom('entries').where('entry_id', 'in', ids).execute();
  }
}

/**
 * Takes up to `limit` children out of an unlinked directory: files go to the trash, directories beside it. Returns
 * how many that was.
 */
async function takeOut(
  tx: MetadataTransaction,
  { entry_id, was }: UnlinkedRow,
  limit: number,
  rules: TrashRules,
): Promise<number> {
  const children = await tx.db
    .selectFrom('entries')
    .leftJoin('versions', 'versions.version', 'entries.version')
    .select(['entry_id', 'name', 'type', 'entries.version', 'size_bytes'])
    .where('parent_id', '=', entry_id)
    .limit(limit)
    .execute();
  const files = children.filter(({ type }) => type === 'file');
  if (was) {
    const { path, ...left } = was;
    const leaving = files.map((file) => ({
      version: file.version,
      sizeBytes: sized(file).size_bytes,
      path: `${path}/${file.name}`,
      replaced: false,
    }));
    await trashVersions(tx, leaving, rules, left);
  } else {
    await retireVersions(tx, files.map(sized));
  }
  await removeRows(
    tx,
    files.map((file) => file.entry_id),
  );
  const directories = children.filter(({ type }) => type === 'directory');
  for (const page of batches(directories)) {
    if (was) {
      const places = page.map((child) => ({
        ...was,
        entry_id: child.entry_id,
        path: `${was.path}/${child.name}`,
      }));
      await tx.db.insertInto('unlinked').values(places).execute();
    }
    await tx.db
      .updateTable('entries')
      .set({ parent_id: unlinkedId, name: sql<string>`cast(entry_id as text)` })
      .where(
        'entry_id',
        'in',
        page.map((directory) => directory.entry_id),
      )
      .execute();
  }
  return children.length;
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
