/**
 * The log that an earlier start left beside the database, written once more before SQLite reads it.
 *
 * The failure it answers: a sync of the log failed, so the tracker ended, and was started again. The kernel still has
 * the log in memory as it should be, and takes it for written, which it is not. SQLite would read it there, go on behind
 * it, sync that, and the tracker would acknowledge; after a power cut the log has a hole, SQLite reads no further than
 * that, and all that was acknowledged since is gone.
 */
import type { FileSystem } from '@holdfast/shared';
import { dirname } from 'node:path';

/** A log has some megabytes: SQLite begins it anew at 1,000 pages. After a large transaction it has more. */
const stepBytes = 1024 * 1024;

/**
 * Call it before the database is opened. A crash on the way leaves the log as it was.
 *
 * @throws the errno of the file system
 */
export async function renewLog(fileSystem: FileSystem, databasePath: string): Promise<void> {
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
}

/** Byte by byte: what copies a file may share its blocks, and those are what is in doubt. */
async function copyDurably(
  fileSystem: FileSystem,
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
