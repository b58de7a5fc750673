/**
 * The log that an earlier start left beside the database, taken over into it before anything is acknowledged that rests on
 * either.
 *
 * The failure it answers: a sync failed, so the tracker ended, and was started again. The kernel still has in memory what
 * should be on the disk, and takes it for written, which it is not.
 *
 * - Of the log: SQLite would read it there, write pages of it into the database, and lose power; the log then ends before
 *   those, and the database is of two times at once. So the log is copied to other blocks first.
 * - Of the database: ext4 syncs a block that was new to the file, and could not be written at first, without an error from
 *   then on, and yet leaves it marked as never written: after a power cut it is read as zeros. So the pages at the end of
 *   the database that are in the log as well are cut off, and SQLite writes them to new blocks.
 */
import type { FileSystem } from '@holdfast/shared';
import { dirname } from 'node:path';
import { type SqliteConnection, diskFull, isDiskFull, openDatabase } from './database.js';
import { type LoggedPages, loggedPages } from './logged-pages.js';

/** A log has some megabytes: see changesPerCheckpoint. After a large transaction it has more. */
const stepBytes = 1024 * 1024;
/** SQLite writes nothing to the page that this byte is in, ever: where it locks the file on some platforms. */
const lockByte = 2 ** 30;

export interface LogFileSystem extends Pick<
  FileSystem,
  'open' | 'rename' | 'stat' | 'syncDirectory' | 'unlink'
> {
  /** Opens a file that is to be cut off after so many bytes. */
  openToCut(path: string): Promise<{ truncate(sizeBytes: number): Promise<void>; close(): Promise<void> }>;
}

/**
 * What failed to take a log over: closed, SQLite would try again what failed, be told that it worked, and remove the log. It
 * is open until the process ends, and so are the handles whose closing would end SQLite's locks.
 */
const neverClosed = new Set<object>();

/**
 * Call it before the database is opened. Afterwards there is no log any more. A crash on the way leaves both such that it
 * can be called again; after an error of SQLite it cannot by this process.
 *
 * @throws the errno of the file system, or SQLite's error; HoldfastError OUT_OF_SPACE if the database found no room for
 *   what the log has; DATA_DIR_INVALID if another program has the database open, which then may rely on the log
 */
export async function takeOverLog(fileSystem: LogFileSystem, databasePath: string): Promise<void> {
  const path = `${databasePath}-wal`;
  // What is no file with something in it is no log: SQLite says what is wrong with it.
  const sizeBytes = await sizeOf(fileSystem, path);
  if (sizeBytes === 0) return;
  await renew(fileSystem, path, sizeBytes);
  const database = openDatabase(databasePath, { readOnly: false, alone: true });
  neverClosed.add(database);
  const file = await fileSystem.openToCut(databasePath);
  // Closed before SQLite is, it would take SQLite's locks with it: POSIX has those of a process end with any of its handles.
  neverClosed.add(file);
  // SQLite takes the log of an empty database for one that was left over, and has removed it.
  if ((await sizeOf(fileSystem, path)) > 0) {
    const logged = await readLog(fileSystem, path);
    if (logged) await file.truncate(sizeWithoutLoggedEnd(await sizeOf(fileSystem, databasePath), logged));
    checkpoint(database);
  }
  database.close();
  await file.close();
  for (const each of [database, file]) neverClosed.delete(each);
}

function checkpoint(database: SqliteConnection): void {
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    throw isDiskFull(error) ? diskFull(error) : error;
  }
}

async function readLog(fileSystem: LogFileSystem, path: string): Promise<LoggedPages | undefined> {
  const log = await fileSystem.open(path, 'read');
  return loggedPages(log).finally(() => log.close());
}

/** 0 for what is missing, or no file. */
async function sizeOf(fileSystem: LogFileSystem, path: string): Promise<number> {
  const found = await fileSystem.stat(path);
  return !found || found.isDirectory ? 0 : found.sizeBytes;
}

/** Writes the log to other blocks. */
async function renew(fileSystem: LogFileSystem, path: string, sizeBytes: number): Promise<void> {
  const fresh = `${path}.new`;
  if (await fileSystem.stat(fresh)) await fileSystem.unlink(fresh);
  try {
    await copyDurably(fileSystem, path, fresh, sizeBytes);
  } catch (error) {
    // On a full disk it would be all the room there is.
    await fileSystem.unlink(fresh).catch(() => undefined);
    throw error;
  }
  await fileSystem.rename(fresh, path);
  await fileSystem.syncDirectory(dirname(path));
}

/** Byte by byte: what copies a file may share its blocks, and those are what is in doubt. */
async function copyDurably(
  fileSystem: LogFileSystem,
  path: string,
  copy: string,
  sizeBytes: number,
): Promise<void> {
  const from = await fileSystem.open(path, 'read');
  try {
    const to = await fileSystem.open(copy, 'create');
    try {
      const buffer = Buffer.alloc(stepBytes);
      for (let at = 0, length = -1; at < sizeBytes && length !== 0; at += length) {
        length = await from.read(buffer, 0, Math.min(stepBytes, sizeBytes - at), at);
        await to.write(buffer.subarray(0, length), at);
      }
      await to.syncData();
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

/**
 * The size of a database in bytes, up to the last page that its log has not. No block before that can be one that was never
 * written: a page that the database grew by is in the log until it, and all that it grew by before, were synced.
 */
export function sizeWithoutLoggedEnd(sizeBytes: number, { pageSizeBytes, pages }: LoggedPages): number {
  const lockPage = lockByte / pageSizeBytes + 1;
  let kept = Math.ceil(sizeBytes / pageSizeBytes);
  // The first stays, or the database would be empty, and SQLite would remove the log.
  while (kept > 1 && (pages.has(kept) || kept === lockPage)) kept -= 1;
  return Math.min(sizeBytes, kept * pageSizeBytes);
}
