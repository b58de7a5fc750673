/**
 * The log of changes of the namespace: what watches tell.
 *
 * The promise: a change is written in the transaction that makes it, under the next number, so the order of the log is
 * the order of commits and it has no gap; what was rolled back is not in it. A change is one row however much moves or
 * goes with it. The log goes back only so far: its oldest rows are taken away in the background.
 */
import { sql } from 'kysely';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { type Row, prepare } from '../store/prepared.js';
import type { ChangesTable, EntriesTable } from '../store/schema.js';

export interface NewChange {
  readonly kind: ChangesTable['kind'];
  /** Of the entry after the change; where it was if it was removed. */
  readonly path: string;
  /** Where a moved entry was. */
  readonly oldPath?: string;
  /** The entry as the change makes it, or as it was before it is removed. */
  readonly entry: Pick<EntriesTable, 'type' | 'version' | 'created_at_unix_ms'>;
  readonly nowUnixMs: number;
}

/** Enough to tell the few instances apart that can have written one change: those that ran from copies of a backup. */
export const instanceDigits = 8;

const insertChange = prepare((db, row: Row<Omit<ChangesTable, 'instance'>>) =>
  db.insertInto('changes').values({
    ...row,
    instance: db
      .selectFrom('cluster')
      .select(sql<string>`substr(instance_id, 1, ${sql.lit(instanceDigits)})`.as('instance')),
  }),
);

/** Writes down a change of the namespace as part of the transaction that makes it. */
export async function recordChange(
  tx: MetadataTransaction,
  { kind, path, oldPath, entry, nowUnixMs }: NewChange,
): Promise<void> {
  await tx.run(insertChange, {
    change_id: tx.count('last_change_id', 1),
    ...{ kind, path, old_path: oldPath ?? null },
    ...{ type: entry.type, version: entry.version },
    ...{ created_at_unix_ms: entry.created_at_unix_ms, changed_at_unix_ms: nowUnixMs },
  });
}

/**
 * Forgets the `limit` oldest changes if there are so many more than `retained`, and not one by one: each time is a
 * sync. True if there may be more to do.
 */
export async function pruneChanges(
  store: MetadataStore,
  { retained, limit }: { readonly retained: number; readonly limit: number },
): Promise<boolean> {
  const surplusThrough = store.counters.last_change_id - retained;
  if (surplusThrough < limit) return false;
  const oldest = await store.read(({ db }) =>
    db.selectFrom('changes').select('change_id').orderBy('change_id').limit(1).executeTakeFirst(),
  );
  const through = (oldest?.change_id ?? Infinity) + limit - 1;
  if (through > surplusThrough) return false;
  await store.mutate(({ db }) => db.deleteFrom('changes').where('change_id', '<=', through).execute());
  return true;
}
