/**
 * From paths to rows: one index look-up for each component. The errors that a path can meet are made here, so
 * that every call says the same about the same thing.
 */
import { HoldfastError } from '@holdfast/shared';
import { recordChange } from '../changes/record.js';
import type { MetadataSnapshot, MetadataTransaction } from '../store/metadata-store.js';
import { type Row, prepare } from '../store/prepared.js';
import { type EntriesTable, rootId } from '../store/schema.js';

export type EntryRow = EntriesTable;

/** A path as its names; splitPath has checked them. */
export type Names = readonly string[];

export function pathOf(names: Names): string {
  return `/${names.join('/')}`;
}

export function notFound(path: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `${path} does not exist`, { facts: { path } });
}

/** For what is to be made at a path. */
export function missingParent(names: Names, { depth }: DeepestParent): HoldfastError {
  const path = pathOf(names.slice(0, depth + 1));
  return new HoldfastError('NOT_FOUND', `${path} does not exist`, {
    remedy: `Make the directory first (client mkdir -p ${pathOf(names.slice(0, -1))}; in the library makeDirectory).`,
    facts: { path },
  });
}

export function notADirectory(path: string): HoldfastError {
  return new HoldfastError('NOT_A_DIRECTORY', `${path} is a file`, { facts: { path } });
}

export function isADirectory(path: string): HoldfastError {
  return new HoldfastError('IS_A_DIRECTORY', `${path} is a directory`, { facts: { path } });
}

export function alreadyExists(path: string): HoldfastError {
  return new HoldfastError('ALREADY_EXISTS', `${path} exists`, {
    remedy: 'Choose another name, or replace it (--force; in the library overwrite: true).',
    facts: { path },
  });
}

const byName = prepare((db, { parentId, name }: { parentId: number; name: string }) =>
  db.selectFrom('entries').selectAll().where('parent_id', '=', parentId).where('name', '=', name),
);

const insertOne = prepare((db, row: Row<EntryRow>) => db.insertInto('entries').values(row));

export async function child(
  snapshot: MetadataSnapshot,
  parentId: number,
  name: string,
): Promise<EntryRow | undefined> {
  const [entry] = await snapshot.run(byName, { parentId, name });
  return entry;
}

async function root({ db }: MetadataSnapshot): Promise<EntryRow> {
  return db.selectFrom('entries').selectAll().where('entry_id', '=', rootId).executeTakeFirstOrThrow();
}

/**
 * The entry at a path.
 *
 * @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY
 */
export async function resolve(snapshot: MetadataSnapshot, names: Names): Promise<EntryRow> {
  if (names.length === 0) return root(snapshot);
  const { directoryId, depth } = await deepestParent(snapshot, names);
  const isParent = depth === names.length - 1;
  const entry = isParent ? await child(snapshot, directoryId, names.at(-1) ?? '') : undefined;
  if (!entry) throw notFound(pathOf(names.slice(0, depth + 1)));
  return entry;
}

/**
 * The id of the directory that is to hold the entry at a path that is not the root.
 *
 * @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY
 */
export async function resolveParent(snapshot: MetadataSnapshot, names: Names): Promise<number> {
  const found = await deepestParent(snapshot, names);
  if (found.depth < names.length - 1) throw missingParent(names, found);
  return found.directoryId;
}

/** How far the parents of a path exist: the deepest one, and how many names lead to it. */
export interface DeepestParent {
  readonly directoryId: number;
  readonly depth: number;
}

export async function deepestParent(snapshot: MetadataSnapshot, names: Names): Promise<DeepestParent> {
  // The root is always there, and only its id is wanted.
  let directoryId = rootId;
  for (let depth = 0; depth < names.length - 1; depth += 1) {
    const next = await child(snapshot, directoryId, names[depth] ?? '');
    if (!next) return { directoryId, depth };
    if (next.type === 'file') throw notADirectory(pathOf(names.slice(0, depth + 1)));
    directoryId = next.entry_id;
  }
  return { directoryId, depth: names.length - 1 };
}

/** As resolveParent, making the directories that are missing. */
export async function ensureParent(
  tx: MetadataTransaction,
  names: Names,
  nowUnixMs: number,
): Promise<number> {
  return makeParents(tx, names, await deepestParent(tx, names), nowUnixMs);
}

/** Makes the parents that are missing below the deepest one; gives the last one's id. */
export async function makeParents(
  tx: MetadataTransaction,
  names: Names,
  found: DeepestParent,
  nowUnixMs: number,
): Promise<number> {
  let { directoryId } = found;
  for (let { depth } = found; depth < names.length - 1; depth += 1) {
    const path = pathOf(names.slice(0, depth + 1));
    const name = names[depth] ?? '';
    const made = await insertEntry(tx, { parentId: directoryId, path, name, type: 'directory', nowUnixMs });
    directoryId = made.entry_id;
  }
  return directoryId;
}

export interface NewEntry {
  readonly parentId: number;
  readonly path: string;
  readonly name: string;
  readonly type: 'file' | 'directory';
  readonly version?: number;
  readonly nowUnixMs: number;
}

/** Adds an entry that is known not to be there; counts directories, while files are counted with their bytes. */
export async function insertEntry(tx: MetadataTransaction, entry: NewEntry): Promise<EntryRow> {
  const row: EntryRow = {
    entry_id: tx.count('last_entry_id', 1),
    parent_id: entry.parentId,
    name: entry.name,
    type: entry.type,
    version: entry.version ?? 0,
    created_at_unix_ms: entry.nowUnixMs,
  };
  await tx.run(insertOne, row);
  await recordChange(tx, { kind: 'created', path: entry.path, entry: row, nowUnixMs: entry.nowUnixMs });
  if (entry.type === 'directory') tx.count('directories', 1);
  return row;
}

/** True if a directory has nothing in it. */
export async function isEmptyDirectory({ db }: MetadataSnapshot, entryId: number): Promise<boolean> {
  const any = await db
    .selectFrom('entries')
    .select('entry_id')
    .where('parent_id', '=', entryId)
    // The root is its own parent.
    .where('entry_id', '!=', entryId)
    .limit(1)
    .executeTakeFirst();
  return any === undefined;
}

/**
 * Checks what is at a path against what a caller expects there: undefined, a file or nothing; 0, nothing; else a
 * file at exactly this version.
 *
 * @throws HoldfastError ALREADY_EXISTS, IS_A_DIRECTORY, VERSION_CONFLICT
 */
export function checkExpected(
  path: string,
  entry: EntryRow | undefined,
  expectedVersion: number | undefined,
): void {
  if (expectedVersion === 0 && entry) throw alreadyExists(path);
  if (entry?.type === 'directory') throw isADirectory(path);
  if (expectedVersion === undefined || expectedVersion === 0) return;
  if (entry?.version === expectedVersion) return;
  const found = entry ? `at version ${entry.version}` : 'not there';
  throw new HoldfastError('VERSION_CONFLICT', `${path} is ${found}, not at version ${expectedVersion}`, {
    remedy: 'Look at what changed, then ask again with the version that is there now.',
    facts: { path, version: entry?.version ?? 0 },
  });
}
