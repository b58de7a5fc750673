/**
 * The data directory's shape (docs/formats/data-directory.md): its names, and how it is formatted so that a crash
 * at any point leaves either nothing, something that the next start finishes, or the whole.
 */
import { type FileSystem, HoldfastError, errnoOf } from '@holdfast/shared';
import { join } from 'node:path';
import type { StorageHealth } from './disk-error.js';
import { inParallel, parallelOperations } from './in-parallel.js';

/** Names below the data directory. On disk: do not change. */
export const names = {
  identity: 'IDENTITY',
  state: 'STATE',
  scrub: 'SCRUB',
  reserve: 'RESERVE',
  /** There while the directory is being formatted. */
  formatting: 'FORMATTING',
  tmp: 'tmp',
  chunks: 'chunks',
  trash: 'trash',
  quarantine: 'quarantine',
} as const;

export const folders = [names.tmp, names.chunks, names.trash, names.quarantine] as const;

/** `chunks/00` to `chunks/ff`: a directory with a million names is slow to list and to sync. */
export const shards: readonly string[] = Array.from({ length: 256 }, (_, i) =>
  i.toString(16).padStart(2, '0'),
);

/** Neither the lock of the program (LOCK, LOCK.*) nor what a fresh ext4 brings along makes a directory "used". */
function isOurs(name: string): boolean {
  return !name.startsWith('LOCK') && name !== 'lost+found';
}

export function invalidDirectory(dataDir: string, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError('DATA_DIR_INVALID', `${dataDir} cannot be used as a data directory: ${why}`, {
    cause,
    remedy:
      'Nothing was changed. Name the right directory with --data-dir, or an empty one for a new keeper.',
  });
}

/**
 * What is at `dataDir`.
 *
 * @throws HoldfastError DATA_DIR_INVALID for a directory that is neither empty nor a keeper's
 */
export async function inspect(fileSystem: FileSystem, dataDir: string): Promise<'formatted' | 'unformatted'> {
  const status = await fileSystem.stat(dataDir);
  if (!status) return 'unformatted';
  if (!status.isDirectory) throw invalidDirectory(dataDir, 'it is a file');
  const present = (await fileSystem.readDirectory(dataDir)).filter(isOurs);
  if (present.includes(names.identity)) {
    for (const folder of folders) {
      // A disk that is not mounted, or a copy that was not finished.
      if (!present.includes(folder)) throw invalidDirectory(dataDir, `${folder}/ is missing`);
      const there = await fileSystem.stat(join(dataDir, folder));
      if (there?.isDirectory !== true) throw invalidDirectory(dataDir, `${folder} is no directory`);
    }
    // Likewise, where the pieces have a disk of their own.
    if ((await fileSystem.readDirectory(join(dataDir, names.chunks))).length === 0) {
      throw invalidDirectory(dataDir, `${names.chunks}/ is empty`);
    }
    return 'formatted';
  }
  if (present.length === 0 || present.includes(names.formatting)) return 'unformatted';
  throw invalidDirectory(dataDir, `it holds other things (${present.slice(0, 3).join(', ')})`);
}

/**
 * Makes the folders of a directory that is there durably (see makeDataDirectory); `finish` then writes the files, the
 * identity last: with it the directory is formatted.
 */
export async function format(
  fileSystem: FileSystem,
  dataDir: string,
  finish: () => Promise<void>,
): Promise<void> {
  const marker = join(dataDir, names.formatting);
  if (!(await fileSystem.stat(marker))) {
    const file = await fileSystem.open(marker, 'create');
    await file.close();
  }
  // Whoever made it: what is made next would be taken for somebody else's without it.
  await fileSystem.syncDirectory(dataDir);
  for (const folder of folders) await makeIfMissing(fileSystem, join(dataDir, folder));
  await makeShards(fileSystem, dataDir);
  await fileSystem.syncDirectory(dataDir);
  await finish();
  await removeMarker(fileSystem, dataDir);
}

/** Makes those of the shards that are missing. All are durable then: an earlier start may have ended before its sync. */
export async function makeShards(fileSystem: FileSystem, dataDir: string): Promise<void> {
  const chunks = join(dataDir, names.chunks);
  const present = new Set(await fileSystem.readDirectory(chunks));
  const missing = shards.filter((shard) => !present.has(shard));
  await inParallel(missing, parallelOperations, (shard) => makeIfMissing(fileSystem, join(chunks, shard)));
  await fileSystem.syncDirectory(chunks);
}

async function makeIfMissing(fileSystem: FileSystem, path: string): Promise<void> {
  await fileSystem.makeDirectory(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error;
  });
}

/** Removes what a crash at the very end of the formatting left: without it a lost IDENTITY stays an alarm. */
export async function removeMarker(fileSystem: FileSystem, dataDir: string): Promise<void> {
  const marker = join(dataDir, names.formatting);
  if (await fileSystem.stat(marker)) await fileSystem.unlink(marker);
}

/**
 * Puts a small file in place of what has its name, so that a crash leaves the old or the new one, whole.
 * Resolves when it is on stable storage. A failed sync is final, for the whole storage, unless there was no room for
 * the new one: the old one is there then, and another may be tried.
 */
export async function replaceFile(
  fileSystem: FileSystem,
  health: StorageHealth,
  directory: string,
  name: string,
  content: Buffer,
): Promise<void> {
  const doing = `cannot write ${name}`;
  const temporary = join(directory, names.tmp, `${name}.new`);
  if (await fileSystem.stat(temporary)) await fileSystem.unlink(temporary);
  const file = await fileSystem.open(temporary, 'create');
  try {
    await file.write(content, 0);
    await file.syncData().catch((error: unknown) => {
      throw health.contentSyncFailed(error, doing);
    });
  } finally {
    await file.close();
  }
  await fileSystem.rename(temporary, join(directory, name));
  await fileSystem.syncDirectory(directory).catch((error: unknown) => {
    throw health.syncFailed(error, doing);
  });
}
