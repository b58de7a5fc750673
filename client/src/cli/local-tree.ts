/**
 * A local directory, walked one entry at a time, each directory in byte order of its names, as remote listings have
 * them. Symbolic links are followed, because a remote tree has none and nothing is to be missing from it; one that
 * leads back into a directory that holds it, or nowhere, is skipped with a warning, so no walk goes in circles.
 * Sockets, devices and pipes are skipped with a warning. Downloads that are not done yet are no part of it.
 */
import { isUtf8 } from 'node:buffer';
import type { BigIntStats, Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { HoldfastError, fromErrno, joinPath } from '@holdfast/shared';
import { isPartName } from '../local/part-file.js';
import type { IsExcluded } from './path-pattern.js';
import { asHoldfastError } from './reporter.js';

export interface LocalDirectory {
  readonly kind: 'directory';
  readonly path: string;
  readonly remote: string;
  /** The directories that it is in, as device and inode: what no link below may lead back into. */
  readonly holders: readonly string[];
}

export interface LocalFile {
  readonly kind: 'file';
  readonly path: string;
  readonly remote: string;
  readonly sizeBytes: number;
  /** In whole milliseconds since 1970, as an upload keeps it. */
  readonly modifiedAtUnixMs: number;
}

export type LocalEntry =
  | LocalDirectory
  | LocalFile
  /** Not taken along, and why; or an error that concerns this entry alone. */
  | { readonly kind: 'skipped'; readonly path: string; readonly remote: string; readonly why: string }
  | {
      readonly kind: 'failed';
      readonly path: string;
      readonly remote: string;
      readonly error: HoldfastError;
    };

/** The name that a local path has in a remote directory. '' for ".", ".." and "/": what is in them is meant. */
export function nameOf(path: string): string {
  const last = basename(path);
  return last === '.' || last === '..' ? '' : basename(resolve(path));
}

export interface WalkOptions {
  /** Leaves all symbolic links out, without a word: the user asked for it. */
  readonly skipLinks?: boolean;
  /** What is left out, with all that is in it, without a word; `names` are those from the top of the walk down. */
  readonly isExcluded?: IsExcluded | undefined;
}

/** All that is below the directory `path`, itself first, with where it goes below `remote`. */
export async function* walkLocal(
  path: string,
  remote: string,
  options: WalkOptions = {},
): AsyncGenerator<LocalEntry, void, undefined> {
  yield* walk({ kind: 'directory', path, remote, holders: [] }, options, []);
}

async function* walk(
  directory: LocalDirectory,
  options: WalkOptions,
  names: readonly string[],
): AsyncGenerator<LocalEntry, void, undefined> {
  yield directory;
  let entries;
  try {
    entries = await openLocal(directory, options);
  } catch (error) {
    const { path, remote } = directory;
    yield { kind: 'failed', path, remote, error: asHoldfastError(error) };
    return;
  }
  for await (const entry of entries) {
    const below = [...names, basename(entry.path)];
    if (options.isExcluded?.(below, entry.kind === 'directory') === true) continue;
    if (entry.kind === 'directory') yield* walk(entry, options, below);
    else yield entry;
  }
}

/**
 * What is in a directory, in byte order of the names. The names of one directory are in memory; what they name is
 * looked at as it is asked for.
 *
 * @throws HoldfastError if the directory cannot be read
 */
export async function openLocal(
  { path, remote, holders }: LocalDirectory,
  { skipLinks = false }: WalkOptions = {},
): Promise<AsyncGenerator<LocalEntry, void, undefined>> {
  try {
    const inside = [...holders, identityOf(await stat(path, { bigint: true }))];
    // Names as bytes: as text, one that is not UTF-8 would come out as another name.
    const found = await readdir(path, { encoding: 'buffer', withFileTypes: true });
    found.sort((one, other) => Buffer.compare(one.name, other.name));
    return entriesOf(found, { kind: 'directory', path, remote, holders: inside }, skipLinks);
  } catch (error) {
    throw fromErrno(error, `cannot read ${JSON.stringify(path)}`);
  }
}

async function* entriesOf(
  found: readonly Dirent<Buffer>[],
  { path, remote, holders }: LocalDirectory,
  skipLinks: boolean,
): AsyncGenerator<LocalEntry, void, undefined> {
  for (const entry of found) {
    if (skipLinks && entry.isSymbolicLink()) continue;
    const name = entry.name.toString();
    if (isPartName(name)) continue;
    const below = join(path, name);
    const place = joinPath(remote, name);
    if (!isUtf8(entry.name)) yield { kind: 'failed', path: below, remote: place, error: notUtf8(below) };
    else if (entry.isDirectory()) yield { kind: 'directory', path: below, remote: place, holders };
    else yield await entryAt(below, place, holders, entry.isSymbolicLink());
  }
}

/** What is at a path, through symbolic links. */
export function localEntryAt(path: string): Promise<LocalEntry> {
  return entryAt(path, '/', [], false);
}

function identityOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}

/** What is at a path that its directory does not say to be a directory. */
async function entryAt(
  path: string,
  remote: string,
  holders: readonly string[],
  isLink: boolean,
): Promise<LocalEntry> {
  const shown = JSON.stringify(path);
  const skipped = (why: string): LocalEntry => ({ kind: 'skipped', path, remote, why: `${why}: skipped` });
  let status;
  try {
    status = await stat(path, { bigint: true });
  } catch (error) {
    if (isLink) return skipped(`${shown} is a symbolic link that leads nowhere`);
    return { kind: 'failed', path, remote, error: fromErrno(error, `cannot read ${shown}`) };
  }
  if (status.isDirectory()) {
    if (!holders.includes(identityOf(status))) return { kind: 'directory', path, remote, holders };
    return skipped(`${shown} is a symbolic link that leads back into a directory that holds it`);
  }
  if (!status.isFile()) return skipped(`${shown} is a socket, a device or a pipe`);
  const { size, mtimeMs } = status;
  return { kind: 'file', path, remote, sizeBytes: Number(size), modifiedAtUnixMs: Number(mtimeMs) };
}

function notUtf8(path: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', `the name of ${JSON.stringify(path)} is not valid UTF-8`, {
    remedy: 'Rename it: remote names are UTF-8.',
  });
}
