/** Directories that do not go with the power. */
import { dirname, resolve } from 'node:path';
import { errnoOf } from '../errors/index.js';
import type { FileSystem } from '../ports/file-system.js';

/**
 * Of a directory that is not this program's to sync, since it may not open it, or that nobody can sync there. What
 * this program made itself it may open, unless somebody took pains.
 */
const notOurs = new Set(['EACCES', 'EPERM', 'EROFS', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP']);

/**
 * Makes a directory, and those above it that are missing. Resolves when its name is on stable storage, and those of the
 * ones above it up to where the file system begins: also when all were there, for who made them may have ended, or been
 * refused, before it could sync them.
 *
 * @throws the error of the operating system: of `path` that is something else, and of a sync that failed
 */
export async function makeDurableDirectory(fileSystem: FileSystem, path: string): Promise<void> {
  const whole = resolve(path);
  await makeMissing(fileSystem, whole);
  const made = await fileSystem.stat(whole);
  for (let at = whole, above = dirname(at); above !== at; at = above, above = dirname(at)) {
    if ((await fileSystem.stat(above))?.deviceId !== made?.deviceId) return;
    await fileSystem.syncDirectory(above).catch((error: unknown) => {
      if (!notOurs.has(errnoOf(error) ?? '')) throw error;
    });
  }
}

async function makeMissing(fileSystem: FileSystem, path: string): Promise<void> {
  if ((await fileSystem.stat(path))?.isDirectory === true) return;
  const above = dirname(path);
  if (above !== path) await makeMissing(fileSystem, above);
  await fileSystem.makeDirectory(path).catch(async (error: unknown) => {
    // Others may make the same one at the same time.
    if ((await fileSystem.stat(path))?.isDirectory !== true) throw error;
  });
}
