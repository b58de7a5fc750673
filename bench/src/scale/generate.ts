/**
 * The metadata of a big cluster, without the cluster: rows of committed files, their chunks and pieces, written into
 * the tables that the tracker made. A million chunks with three pieces each take half a minute instead of days.
 */
import { systemClock, systemRandom } from '@holdfast/shared/node';
import { silentLogger } from '@holdfast/shared';
import { buildCore, defaultSettings, openDatabase, openSqliteStore } from '@holdfast/master-tracker/insides';
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

export interface Population {
  readonly chunks: number;
  /** 3 at least. */
  readonly keepers: number;
  /** Open uploads beside them, each of a tenth as many chunks of which nothing was written yet. */
  readonly openUploads: number;
  readonly seed: number;
}

/** Of every chunk; nothing of it is stored anywhere. */
export const chunkBytes = 16 * 1024 ** 2;
const copies = 3;
const chunksPerFile = 100;
/** The time at which all of it was stored, for display. */
const storedAtUnixMs = 1_700_000_000_000;
/** The root directory's entry is 1. */
const firstEntryId = 2;

/** The ids, 32 hexadecimal digits, are spread evenly and in order: the order in which SQLite appends fastest. */
export function chunkIdOf({ chunks, seed }: Population, index: number): string {
  const place = Math.floor((index / chunks) * 2 ** 48).toString(16);
  return place.padStart(12, '0') + hash(`${seed} chunk ${index}`).slice(0, 20);
}

/** Of a chunk, in hexadecimal. */
export function digestOf(chunkId: string): string {
  return chunkId + chunkId;
}

export function uploadIdOf({ seed }: Population, upload: number): string {
  return hash(`${seed} open upload ${upload}`).slice(0, 32);
}

export function chunksOfUpload({ chunks }: Population): number {
  return Math.floor(chunks / 10);
}

export function keeperIdOf({ seed }: Population, index: number): string {
  return hash(`${seed} keeper ${index}`).slice(0, 32);
}

/** All start with this one. */
export function storageIdOf({ seed }: Population, index: number): string {
  return hash(`${seed} storage ${index}`).slice(0, 32);
}

/** Which keepers have a chunk: every set of three as often as any other, so that each may copy from all. */
export function keepersOf({ keepers }: Population, index: number): readonly [number, number, number] {
  const first = index % keepers;
  const turn = Math.floor(index / keepers);
  const second = 1 + (turn % (keepers - 1));
  const third = 1 + (Math.floor(turn / (keepers - 1)) % (keepers - 2));
  return [first, (first + second) % keepers, (first + (third >= second ? third + 1 : third)) % keepers];
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Makes the database at `path`, by the tracker's own hand, and fills it. */
export async function generate(path: string, population: Population): Promise<void> {
  const store = await openSqliteStore({ path, clock: systemClock });
  const settings = defaultSettings;
  await buildCore({ store, clock: systemClock, random: systemRandom, logger: silentLogger, settings });
  const transactionId = store.transactionId + 1;
  await store.close();
  const database = openDatabase(path, { readOnly: false });
  try {
    // Nothing of it would be missed after a crash.
    database.exec('PRAGMA synchronous = OFF');
    database.exec('BEGIN');
    const insert = (table: string, columns: string): ((...values: (string | number | null)[]) => void) => {
      const marks = columns.replace(/[^,]+/g, '?');
      const statement = database.prepare(`INSERT INTO ${table} (${columns}) VALUES (${marks})`);
      return (...values) => void statement.run(values);
    };
    insertKeepers(population, insert);
    const files = insertFiles(population, insert);
    insertChunks(population, transactionId, insert);
    for (let upload = 0; upload < population.openUploads; upload += 1) {
      insertUpload(population, upload, transactionId, insert);
    }
    database
      .prepare(
        `UPDATE cluster SET transaction_id = ?, last_version = ?, last_entry_id = ?, files = ?, chunks = ?,
           logical_bytes = ?, open_uploads = ?`,
      )
      .run([
        ...[transactionId, files, firstEntryId + files - 1, files, population.chunks],
        population.chunks * chunkBytes,
        population.openUploads,
      ]);
    database.exec('COMMIT');
  } finally {
    database.close();
  }
  // Or what is measured next would wait for this to be written.
  const file = await open(path);
  await file.sync();
  await file.close();
}

type Insert = (table: string, columns: string) => (...values: (string | number | null)[]) => void;

function insertKeepers(population: Population, insert: Insert): void {
  const keeper = insert(
    'keepers',
    'keeper_id,storage_id,incarnation,address,zone,total_bytes,used_bytes,free_bytes,software_version,stopping,dead',
  );
  for (let index = 0; index < population.keepers; index += 1) {
    const address = `127.0.0.1:${1_000 + index}`;
    keeper(
      keeperIdOf(population, index),
      storageIdOf(population, index),
      1,
      address,
      '',
      0,
      0,
      0,
      'scale',
      0,
      0,
    );
  }
}

/** How many there are. */
function insertFiles({ chunks }: Population, insert: Insert): number {
  const entry = insert('entries', 'entry_id,parent_id,name,type,version,created_at_unix_ms');
  const version = insert('versions', 'version,size_bytes,pieces,min_write,created_at_unix_ms');
  const files = Math.ceil(chunks / chunksPerFile);
  for (let file = 0; file < files; file += 1) {
    const count = Math.min(chunksPerFile, chunks - file * chunksPerFile);
    entry(firstEntryId + file, 1, `file-${file}`, 'file', file + 1, storedAtUnixMs);
    version(file + 1, count * chunkBytes, copies, 2, storedAtUnixMs);
  }
  return files;
}

function insertChunks(population: Population, transactionId: number, insert: Insert): void {
  const chunk = insert('chunks', 'chunk_id,upload_id,state,length,digest,pieces,file_offset');
  const extent = insert('extents', 'version,file_offset,length,chunk_id,chunk_offset');
  const piece = insert('pieces', 'chunk_id,keeper_id,state,since_transaction_id');
  insert('chunk_counts', 'pieces,chunks')(copies, population.chunks);
  const keeperIds = Array.from({ length: population.keepers }, (_, index) => keeperIdOf(population, index));
  for (let index = 0; index < population.chunks; index += 1) {
    const chunkId = chunkIdOf(population, index);
    const file = Math.floor(index / chunksPerFile);
    const offset = (index % chunksPerFile) * chunkBytes;
    const uploadId = hash(`${population.seed} upload ${file}`).slice(0, 32);
    chunk(chunkId, uploadId, 'live', chunkBytes, digestOf(chunkId), copies, offset);
    extent(file + 1, offset, chunkBytes, chunkId, 0);
    for (const keeper of keepersOf(population, index)) {
      piece(chunkId, keeperIds[keeper] ?? '', 'durable', transactionId);
    }
  }
}

function insertUpload(population: Population, upload: number, transactionId: number, insert: Insert): void {
  const uploadId = uploadIdOf(population, upload);
  const chunks = chunksOfUpload(population);
  insert(
    'uploads',
    'upload_id,state,pieces,min_write,chunk_size_bytes,allocated',
  )(...[uploadId, 'open', copies, 2, chunkBytes, chunks]);
  const chunk = insert('chunks', 'chunk_id,upload_id,state,pieces,file_offset');
  const piece = insert('pieces', 'chunk_id,keeper_id,state,since_transaction_id');
  const own = { ...population, chunks, seed: population.seed + upload + 1 };
  for (let index = 0; index < chunks; index += 1) {
    const chunkId = chunkIdOf(own, index);
    chunk(chunkId, uploadId, 'allocated', copies, index * chunkBytes);
    for (const keeper of keepersOf(population, index)) {
      piece(chunkId, keeperIdOf(population, keeper), 'planned', transactionId);
    }
  }
}
