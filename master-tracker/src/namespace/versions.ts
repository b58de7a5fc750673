/** Versions: shown at a path, then retired, and readable by number until their grace is over. */
import type { MetadataTransaction } from '../store/metadata-store.js';
import type { EntryRow } from './resolve.js';

/** Takes a file's version off its path: it stays readable by number until reclamation comes to it. */
export async function retireVersion(tx: MetadataTransaction, version: number): Promise<void> {
  await tx.db
    .updateTable('versions')
    .set({ retired_transaction_id: tx.transactionId })
    .where('version', '=', version)
    .execute();
}

/** Removes one entry: a file, whose version is retired, or a directory that is empty. */
export async function removeEntry(tx: MetadataTransaction, entry: EntryRow): Promise<void> {
  await tx.db.deleteFrom('entries').where('entry_id', '=', entry.entry_id).execute();
  if (entry.type === 'directory') {
    tx.count('directories', -1);
    return;
  }
  const { size_bytes } = await tx.db
    .selectFrom('versions')
    .select('size_bytes')
    .where('version', '=', entry.version)
    .executeTakeFirstOrThrow();
  tx.count('files', -1);
  tx.count('logical_bytes', -size_bytes);
  await retireVersion(tx, entry.version);
}
