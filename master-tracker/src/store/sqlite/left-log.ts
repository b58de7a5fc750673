/**
 * The log that an earlier start left beside the database, and what it has of the database, written once more to other
 * blocks before anything is acknowledged that rests on them.
 *
 * The failure it answers: a sync failed, so the tracker ended, and was started again. The kernel still has in memory what
 * should be on the disk, and takes it for written, which it is not.
 *
 * - Of the log: SQLite would read it there, go on behind it, sync that, and the tracker would acknowledge; after a power
 *   cut the log has a hole, SQLite reads no further than that, and all that was acknowledged since is gone.
 * - Of the database: SQLite writes pages into it that are in the log, and begins the log anew when they are synced. ext4
 *   syncs a block that was new to the file, and could not be written at first, without an error from then on, and yet
 *   leaves it marked as never written: after a power cut it is read as zeros. Only new blocks in its place help.
 */
import type { FileSystem } from '@holdfast/shared';
import { dirname } from 'node:path';
import { type LoggedPages, loggedPages } from './logged-pages.js';

/** A log has some megabytes: see changesPerCheckpoint. After a large transaction it has more. */
const stepBytes = 1024 * 1024;
/** SQLite writes nothing to the page that this byte is in, ever: where it locks the file on some platforms. */
const lockByte = 2 ** 30;

export interface LogFileSystem extends Pick<
  FileSystem,
  'open' | 'rename' | 'stat' | 'syncDirectory' | 'unlink'
> {
  /** Cuts a file off after so many bytes. */
  truncate(path: string, sizeBytes: number): Promise<void>;
}

/**
 * Call it before the database is opened. A crash on the way leaves both such that it can be called again.
 *
 * @throws the errno of the file system
 */
export async function renewLog(fileSystem: LogFileSystem, databasePath: string): Promise<void> {
  const path = `${databasePath}-wal`;
  const fresh = `${path}.new`;
  const left = await fileSystem.stat(path);
  // What is no file with something in it is no log: SQLite says what is wrong with it.
  if (!left || left.isDirectory || left.sizeBytes === 0) return;
  if (await fileSystem.stat(fresh)) await fileSystem.unlink(fresh);
  try {
    await copyDurably(fileSystem, path, fresh, left.sizeBytes);
  } catch (error) {
    // On a full disk it would be all the room there is.
    await fileSystem.unlink(fresh).catch(() => undefined);
    throw error;
  }
  await fileSystem.rename(fresh, path);
  await fileSystem.syncDirectory(dirname(path));
  await cutLoggedEnd(fileSystem, databasePath, path);
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

/** Takes those pages off the end of the database that the log has as well, so that SQLite writes them to new blocks. */
async function cutLoggedEnd(fileSystem: LogFileSystem, databasePath: string, logPath: string): Promise<void> {
  const database = await fileSystem.stat(databasePath);
  if (!database || database.isDirectory) return;
  const log = await fileSystem.open(logPath, 'read');
  const logged = await loggedPages(log).finally(() => log.close());
  if (!logged) return;
  const keptBytes = sizeWithoutLoggedEnd(database.sizeBytes, logged);
  if (keptBytes < database.sizeBytes) await fileSystem.truncate(databasePath, keptBytes);
}

/**
 * The size of a database in bytes, up to the last page that its log has not. No block before that can be one that was never
 * written: a page that the database grew by is in the log until it, and all that it grew by before, were synced.
 */
export function sizeWithoutLoggedEnd(sizeBytes: number, { pageSizeBytes, pages }: LoggedPages): number {
  const lockPage = lockByte / pageSizeBytes + 1;
  let kept = Math.ceil(sizeBytes / pageSizeBytes);
  // The first stays: SQLite takes the log of an empty database for one that was left over, and removes it.
  while (kept > 1 && (pages.has(kept) || kept === lockPage)) kept -= 1;
  return Math.min(sizeBytes, kept * pageSizeBytes);
}
