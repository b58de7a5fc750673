/**
 * Versions: shown at a path; then in the trash, from where they can be restored; then retired, and readable by
 * number until their grace is over. A version goes this way once and never back: what is restored is a new version
 * over the same chunks, so numbers at a path grow, and a late order against the old one misses it.
 */
import type { Clock } from '@holdfast/shared';
import { recordChange } from '../changes/record.js';
import type { ServedTime } from '../cluster/served-time.js';
import { batches } from '../store/batches.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import { type Row, prepare } from '../store/prepared.js';
import type { TrashTable } from '../store/schema.js';
import { contentColumns } from './describe.js';
import { type EntryRow, insertEntry } from './resolve.js';

/** How long versions stay in the trash, and by which clocks. */
export interface TrashRules {
  /** 0: there is no trash. */
  readonly retentionMs: number;
  readonly served: ServedTime;
  readonly clock: Clock;
}

/** When something left its path. */
export type Left = Pick<TrashTable, 'left_transaction_id' | 'left_at_unix_ms' | 'left_served_ms'>;

/** A version that leaves its path. */
export interface Leaving {
  readonly version: number;
  readonly sizeBytes: number;
  readonly path: string;
  /** True if another version takes its place. */
  readonly replaced: boolean;
}

export function leftNow(tx: MetadataTransaction, { served, clock }: TrashRules): Left {
  return {
    left_transaction_id: tx.transactionId,
    left_at_unix_ms: clock.wallMs(),
    left_served_ms: served.noteIn(tx),
  };
}

const insertTrash = prepare((db, { rows }: { rows: readonly Row<TrashTable>[] }) =>
  db.insertInto('trash').values(rows),
);

/** Takes versions off their paths: into the trash, or where there is none, to be reclaimed after their grace. */
export async function trashVersions(
  tx: MetadataTransaction,
  leaving: readonly Leaving[],
  rules: TrashRules,
  left: Left = leftNow(tx, rules),
): Promise<void> {
  const sizes = leaving.map(({ version, sizeBytes }) => ({ version, size_bytes: sizeBytes }));
  if (rules.retentionMs === 0) return retireVersions(tx, sizes);
  for (const page of batches(leaving)) {
    const rows = page.map(({ version, sizeBytes, path, replaced }) => ({
      ...{ version, path, size_bytes: sizeBytes, replaced: replaced ? 1 : 0 },
      ...left,
    }));
    await tx.run(insertTrash, { rows });
  }
  tx.count('trashed_versions', leaving.length);
  tx.count('trashed_bytes', sumOf(sizes));
}

type Sized = Readonly<{ version: number; size_bytes: number }>;

/** Gives versions up for good: reclamation takes their extents once their grace is over. */
export async function retireVersions(tx: MetadataTransaction, versions: readonly Sized[]): Promise<void> {
  for (const page of batches(versions)) {
    await tx.db
      .updateTable('versions')
      .set({ retired_transaction_id: tx.transactionId })
      .where(
        'version',
        'in',
        page.map(({ version }) => version),
      )
      .execute();
  }
  tx.count('retired_bytes', sumOf(versions));
}

/** Takes versions out of the trash and gives them up. */
export async function giveUpTrashed(tx: MetadataTransaction, versions: readonly Sized[]): Promise<void> {
  for (const page of batches(versions)) {
    const numbers = page.map(({ version }) => version);
    await tx.db.deleteFrom('trash').where('version', 'in', numbers).execute();
  }
  tx.count('trashed_versions', -versions.length);
  tx.count('trashed_bytes', -sumOf(versions));
  await retireVersions(tx, versions);
}

function sumOf(versions: readonly Sized[]): number {
  return versions.reduce((sum, { size_bytes }) => sum + size_bytes, 0);
}

const selectSize = prepare((db, { version }: { version: number }) =>
  db.selectFrom('versions').select('size_bytes').where('version', '=', version),
);

export async function sizeOf(tx: MetadataTransaction, version: number): Promise<number> {
  const [row] = await tx.run(selectSize, { version });
  if (!row) throw new Error(`version ${version} is shown and has no row`);
  return row.size_bytes;
}

/** Makes a new version with the same content and gives its number: rows only, as many as a commit of the file has. */
export async function copyVersion(tx: MetadataTransaction, from: number, nowUnixMs: number): Promise<number> {
  const to = tx.count('last_version', 1);
  await tx.db
    .insertInto('versions')
    .columns(['version', 'created_at_unix_ms', 'retired_transaction_id', ...contentColumns])
    .expression((db) =>
      db
        .selectFrom('versions')
        .select((eb) => [
          eb.val(to).as('version'),
          eb.val(nowUnixMs).as('created_at_unix_ms'),
          eb.val(null).as('retired_transaction_id'),
        ])
        .select(contentColumns)
        .where('version', '=', from),
    )
    .execute();
  await copyExtents(tx, from, to);
  return to;
}

/** Gives a version the extents of another one. */
export async function copyExtents(tx: MetadataTransaction, from: number, to: number): Promise<void> {
  await tx.db
    .insertInto('extents')
    .columns(['version', 'file_offset', 'length', 'chunk_id', 'chunk_offset'])
    .expression((db) =>
      db
        .selectFrom('extents')
        .select((eb) => eb.val(to).as('version'))
        .select(['file_offset', 'length', 'chunk_id', 'chunk_offset'])
        .where('version', '=', from),
    )
    .execute();
}

/** A version that is to be shown, and where. */
export interface Showing {
  readonly version: number;
  readonly sizeBytes: number;
  readonly parentId: number;
  readonly path: string;
  readonly name: string;
  /** What is there: a file, or nothing. */
  readonly shown: EntryRow | undefined;
}

/** Shows a version at a path; the one that was shown there goes to the trash. */
export async function showVersion(
  tx: MetadataTransaction,
  { version, sizeBytes, parentId, path, name, shown }: Showing,
  rules: TrashRules,
): Promise<void> {
  const nowUnixMs = rules.clock.wallMs();
  tx.count('logical_bytes', sizeBytes);
  if (!shown) {
    await insertEntry(tx, { parentId, path, name, type: 'file', version, nowUnixMs });
    tx.count('files', 1);
    return;
  }
  const oldBytes = await sizeOf(tx, shown.version);
  tx.count('logical_bytes', -oldBytes);
  await trashVersions(tx, [{ version: shown.version, sizeBytes: oldBytes, path, replaced: true }], rules);
  await tx.db
    .updateTable('entries')
    .set({ version, created_at_unix_ms: nowUnixMs })
    .where('entry_id', '=', shown.entry_id)
    .execute();
  const entry = { ...shown, version, created_at_unix_ms: nowUnixMs };
  await recordChange(tx, { kind: 'replaced', path, entry, nowUnixMs });
}

/** Removes one entry: a file, whose version goes to the trash, or a directory that is empty. */
export async function removeEntry(
  tx: MetadataTransaction,
  entry: EntryRow,
  { path, replaced }: Pick<Leaving, 'path' | 'replaced'>,
  rules: TrashRules,
): Promise<void> {
  await tx.db.deleteFrom('entries').where('entry_id', '=', entry.entry_id).execute();
  if (entry.type === 'directory') {
    tx.count('directories', -1);
    return;
  }
  const { version } = entry;
  const sizeBytes = await sizeOf(tx, version);
  tx.count('files', -1);
  tx.count('logical_bytes', -sizeBytes);
  await trashVersions(tx, [{ version, sizeBytes, path, replaced }], rules);
}
