/**
 * A local file as the target of a download. The bytes go to `.NAME.holdfast.0.OWNER.part` beside the target and are
 * renamed when all of them are on stable storage, so nobody ever sees half a file, and a download that is given up
 * leaves nothing behind. What a kill leaves is known by its owner (owned-file.ts).
 */
import { type Stats, createWriteStream } from 'node:fs';
import { type FileHandle, link, lstat, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Bytes, HoldfastError, type Random, errnoOf, fromErrno } from '@holdfast/shared';
import { writeAll } from '@holdfast/shared/node';
import { orAborted } from '../core/signals.js';
import type { DownloadTarget } from '../download/download.js';
import type { FileAttributes } from '../ports/tracker-api.js';
import { type Family, ownPath } from './owned-file.js';

/** Set-user-id and the like are not restored: whoever uploaded the file is not trusted with them. */
const restoredModeBits = 0o777;
/** Of the 255 bytes that a name may have, version, owner and ending take up to 100. */
const maxStemBytes = 140;
/** Stands for the version where nobody is to go on with the file. */
export const onceLabel = '0';

/**
 * Opens a target at `path`; nothing is at `path` itself before `finish`.
 *
 * @throws HoldfastError ALREADY_EXISTS if something is there and `overwrite` is false, IS_A_DIRECTORY, NOT_FOUND
 *   if the directory is missing, PERMISSION_DENIED …
 */
export async function openPartFile(
  path: string,
  attributes: FileAttributes,
  overwrite: boolean,
  random: Random,
): Promise<DownloadTarget> {
  try {
    const there = await refuseTaken(path, overwrite);
    // Through a symbolic link the file is replaced, not the link.
    const target = there?.isSymbolicLink() === true ? await realpath(path).catch(() => path) : path;
    return await createPartFile(target, attributes, overwrite, random);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/**
 * The same at a path of which `isPlainTarget` has told that it is fit. What comes there meanwhile is replaced if
 * `overwrite`, and refused by `finish` if not.
 */
export async function createPartFile(
  path: string,
  { mode }: FileAttributes,
  overwrite: boolean,
  random: Random,
): Promise<DownloadTarget> {
  try {
    const part = await ownPath(partFamily(path), onceLabel, random);
    // Nobody may read what will not be for them; without a mode of its own it is a new file like any other.
    const handle = await open(part, 'wx', mode === undefined ? 0o666 : 0o600);
    return new PartFile(path, part, handle, overwrite);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/**
 * Whether nothing is at `path`, or a plain file that may be replaced; not so links, and what bytes are written into.
 *
 * @throws HoldfastError as openPartFile
 */
export async function isPlainTarget(path: string, overwrite: boolean): Promise<boolean> {
  try {
    const there = await statusAt(path);
    if (there && !there.isFile() && !there.isDirectory()) return false;
    if (there) await refuseTaken(path, overwrite);
    return true;
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

function cannotWrite(path: string, error: unknown): HoldfastError {
  return fromErrno(error, `cannot write ${JSON.stringify(path)}`);
}

/** True if `path` is a device, a pipe or the like: bytes are written into it, and it is never replaced. */
export async function isSpecialFile(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  return status !== undefined && !status.isFile() && !status.isDirectory();
}

/** Writes all of `bytes` into a special file. A pipe that nobody reads is waited for until `signal` is aborted. */
export async function writeSpecialFile(path: string, bytes: Readable, signal?: AbortSignal): Promise<void> {
  try {
    await orAborted(pipeline(bytes, createWriteStream(path)), signal);
  } catch (error) {
    throw fromErrno(error, `cannot write ${JSON.stringify(path)}`, 'DISK_FAILED');
  }
}

async function statusAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** What is there, if it may be replaced. */
export async function refuseTaken(path: string, overwrite: boolean): Promise<Stats | undefined> {
  const status = await statusAt(path);
  if (!status) return undefined;
  const kind = status.isSymbolicLink() ? await stat(path).catch(() => undefined) : status;
  if (kind?.isDirectory()) {
    throw new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(path)} is a directory`, {
      remedy: 'Name a file in it.',
    });
  }
  if (kind === undefined) {
    throw new HoldfastError('NOT_FOUND', `${JSON.stringify(path)} is a symbolic link that leads nowhere`, {
      remedy: 'Remove the link, or choose another name.',
    });
  }
  if (!overwrite) throw taken(path);
  return status;
}

/**
 * A time as `utimes` takes it, which cuts what it is given down to microseconds: half of all milliseconds are a
 * fraction less as seconds, and would come back as the one nearer to 1970. As text, because a number below 0 means now.
 */
function secondsOf(unixMs: number): string {
  return String((unixMs + 0.001 * Math.sign(unixMs)) / 1_000);
}

function taken(path: string): HoldfastError {
  return new HoldfastError('ALREADY_EXISTS', `${JSON.stringify(path)} exists`, {
    remedy: 'Choose another name, or replace it (--force; in the library overwrite: true).',
    facts: { path },
  });
}

/** The part files of a target, also those that a download can go on with. */
export function partFamily(target: string): Family {
  const stem = `.${shortened(basename(target))}.holdfast`;
  return { directory: dirname(target), stem, ending: 'part' };
}

/** Whether a name is that of a download that is not done; those of earlier versions had no owner. */
export function isPartName(name: string): boolean {
  return /^\..*\.holdfast(\.\d+\.(free|[0-9a-f]{8}-\d+-\d+))?-[0-9a-f]{8}\.part$/s.test(name);
}

function shortened(name: string): string {
  let stem = name;
  while (Buffer.byteLength(stem) > maxStemBytes) stem = [...stem].slice(0, -1).join('');
  return stem;
}

export class PartFile implements DownloadTarget {
  readonly #path: string;
  readonly #part: string;
  readonly #handle: FileHandle;
  readonly #overwrite: boolean;
  #closed = false;

  constructor(path: string, part: string, handle: FileHandle, overwrite: boolean) {
    this.#path = path;
    this.#part = part;
    this.#handle = handle;
    this.#overwrite = overwrite;
  }

  async write(data: Bytes, position: number): Promise<void> {
    try {
      await writeAll(this.#handle, data, position);
    } catch (error) {
      throw fromErrno(error, `cannot write ${JSON.stringify(this.#path)}`, 'DISK_FAILED');
    }
  }

  async finish({ modifiedAtUnixMs, mode }: FileAttributes): Promise<void> {
    try {
      if (mode !== undefined) await this.#handle.chmod(mode & restoredModeBits);
      if (modifiedAtUnixMs !== undefined) {
        const seconds = secondsOf(modifiedAtUnixMs);
        await this.#handle.utimes(seconds, seconds);
      }
      await this.#handle.sync();
      await this.close();
      if (this.#overwrite) await rename(this.#part, this.#path);
      else await this.#showWithoutReplacing();
    } catch (error) {
      throw fromErrno(error, `cannot write ${JSON.stringify(this.#path)}`, 'DISK_FAILED');
    }
  }

  async discard(): Promise<void> {
    await this.close().catch(() => undefined);
    await unlink(this.#part).catch(() => undefined);
  }

  /** A hard link fails if the name is taken, where a rename would replace what came there meanwhile. */
  async #showWithoutReplacing(): Promise<void> {
    try {
      await link(this.#part, this.#path);
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw taken(this.#path);
      // FAT and some network file systems have no hard links; the name was free a moment ago.
      await refuseTaken(this.#path, false);
      await rename(this.#part, this.#path);
      return;
    }
    await unlink(this.#part);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }
}
