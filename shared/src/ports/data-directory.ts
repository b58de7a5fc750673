/** A program's data directory, made such that it does not go with the power. */
import { dirname, resolve } from 'node:path';
import { errnoOf, fromErrno } from '../errors/index.js';
import type { FileSystem } from './file-system.js';

/**
 * Of a directory that is not this program's to look at or to sync, or that nobody can sync there. What this program made
 * itself it may open, unless somebody took pains.
 */
const notOurs = new Set(['EACCES', 'EPERM', 'EROFS', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP']);

/**
 * Makes a data directory, and those above it that are missing. Resolves when its name is on stable storage, and those of
 * the ones above it, as the path is written, up to where the file system begins: also when all were there, for who made
 * them may have ended, or been refused, before it could sync them.
 *
 * @throws HoldfastError as of an errno (see fromErrno), such as PERMISSION_DENIED, OUT_OF_SPACE and DISK_FAILED
 */
export async function makeDataDirectory(fileSystem: FileSystem, dataDir: string): Promise<void> {
  const whole = resolve(dataDir);
  await makeMissing(fileSystem, whole).catch((error: unknown) => {
    throw fromErrno(error, `cannot make the data directory ${dataDir}`);
  });
  for (const above of await sameFileSystemAbove(fileSystem, whole)) {
    await fileSystem.syncDirectory(above).catch((error: unknown) => {
      if (notOurs.has(errnoOf(error) ?? '')) return;
      throw fromErrno(
        error,
        `the data directory ${dataDir} is not durable: cannot sync ${above}`,
        'DISK_FAILED',
      );
    });
  }
}

async function makeMissing(fileSystem: FileSystem, path: string): Promise<void> {
  if ((await fileSystem.stat(path))?.isDirectory === true) return;
  const above = dirname(path);
  if (above !== path) await makeMissing(fileSystem, above);
  await fileSystem.makeDirectory(path).catch(async (error: unknown) => {
    const there = await fileSystem.stat(path);
    // Others may make the same one at the same time.
    if (there?.isDirectory === true) return;
    if (there || errnoOf(error) !== 'EEXIST') throw error;
    throw Object.assign(new Error(`${path} is a link that leads nowhere`), { code: 'ENOENT' });
  });
}

/** The directories above one, from the nearest on, that are of its file system. */
async function sameFileSystemAbove(fileSystem: FileSystem, path: string): Promise<string[]> {
  const deviceOf = async (directory: string): Promise<number | undefined> => {
    try {
      return (await fileSystem.stat(directory))?.deviceId;
    } catch (error) {
      if (notOurs.has(errnoOf(error) ?? '')) return undefined;
      throw fromErrno(error, `cannot look at ${directory}`, 'DISK_FAILED');
    }
  };
  const device = await deviceOf(path);
  const found: string[] = [];
  for (let at = path, above = dirname(at); above !== at; at = above, above = dirname(at)) {
    if ((await deviceOf(above)) !== device) break;
    found.push(above);
  }
  return found;
}
