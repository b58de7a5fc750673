/** From rows to the words of the namespace. */
import type { Policy } from '@holdfast/shared';
import type { MetadataSnapshot } from '../store/metadata-store.js';
import type { VersionsTable } from '../store/schema.js';
import type { Entry } from './entry.js';
import { type EntryRow, type Names, notFound, pathOf, resolve } from './resolve.js';

/** What a version says of its content and how it is kept: what an entry shows, and what a copy takes on. */
export const contentColumns = [
  ...(['size_bytes', 'pieces', 'min_write'] as const),
  ...(['mode', 'modified_at_unix_ms', 'content_digest'] as const),
] as const satisfies readonly (keyof VersionsTable)[];

type VersionColumns = { readonly [Key in (typeof contentColumns)[number]]: VersionsTable[Key] | null };

/** The entry at a path. @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY */
export async function describe(snapshot: MetadataSnapshot, names: Names): Promise<Entry> {
  const row = await resolve(snapshot, names);
  if (row.type === 'directory') return toEntry(pathOf(names), row, undefined);
  const version = await snapshot.db
    .selectFrom('versions')
    .selectAll()
    .where('version', '=', row.version)
    .executeTakeFirst();
  if (!version) throw notFound(pathOf(names));
  return toEntry(pathOf(names), row, version);
}

export function toEntry(
  path: string,
  row: Pick<EntryRow, 'type' | 'version' | 'created_at_unix_ms'>,
  version: VersionColumns | undefined,
): Entry {
  const entry: Entry = {
    path,
    type: row.type,
    sizeBytes: version?.size_bytes ?? 0,
    version: row.version,
    createdAtUnixMs: row.created_at_unix_ms,
  };
  if (!version?.pieces || !version.min_write) return entry;
  const policy: Policy = {
    scheme: 'replicas',
    pieces: version.pieces,
    needed: 1,
    minWrite: version.min_write,
  };
  const attributes = {
    mode: version.mode ?? undefined,
    modifiedAtUnixMs: version.modified_at_unix_ms ?? undefined,
  };
  return { ...entry, policy, attributes, contentDigest: version.content_digest ?? undefined };
}
