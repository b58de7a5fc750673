/**
 * A local directory, walked one entry at a time. Symbolic links are followed, because a remote tree has none and
 * nothing is to be missing from it; one that leads back into a directory that holds it, or nowhere, is skipped with
 * a warning, so no walk goes in circles. Sockets, devices and pipes are skipped with a warning.
 */
import { isUtf8 } from 'node:buffer';
import { opendir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { HoldfastError, fromErrno, joinPath } from '@holdfast/shared';

export type LocalEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly remote: string }
  | { readonly kind: 'file'; readonly path: string; readonly remote: string; readonly sizeBytes: number }
  /** Not taken along, and why; or an error that concerns this entry alone. */
  | { readonly kind: 'skipped'; readonly why: string }
  | { readonly kind: 'failed'; readonly path: string; readonly error: HoldfastError };

/** The name that a local path has in a remote directory. '' for ".", ".." and "/": what is in them is meant. */
export function nameOf(path: string): string {
  const last = basename(path);
  return last === '.' || last === '..' ? '' : basename(resolve(path));
}

export interface WalkOptions {
  /** Leaves all symbolic links out, without a word: the user asked for it. */
  readonly skipLinks?: boolean;
}

/** All that is below the directory `path`, itself first, with where it goes below `remote`. */
export async function* walkLocal(
  path: string,
  remote: string,
  options: WalkOptions = {},
): AsyncGenerator<LocalEntry, void, undefined> {
  yield* walk(path, remote, options, []);
}

/** @param holders the directories that the walk is in, as device and inode: what no link may lead back into */
async function* walk(
  path: string,
  remote: string,
  options: WalkOptions,
  holders: readonly string[],
): AsyncGenerator<LocalEntry, void, undefined> {
  yield { kind: 'directory', path, remote };
  let directory;
  let inside: readonly string[];
  try {
    inside = [...holders, identityOf(await stat(path, { bigint: true }))];
    // Names as bytes: as text, one that is not UTF-8 would come out as another name.
    directory = await opendir(path, { encoding: 'buffer' as BufferEncoding });
  } catch (error) {
    yield { kind: 'failed', path, error: fromErrno(error, `cannot read ${JSON.stringify(path)}`) };
    return;
  }
  for await (const entry of directory) {
    const nameBytes = entry.name as unknown as Buffer;
    const name = nameBytes.toString();
    const below = join(path, name);
    if (!isUtf8(nameBytes)) {
      yield { kind: 'failed', path: below, error: notUtf8(below) };
    } else if (entry.isDirectory()) {
      yield* walk(below, joinPath(remote, name), options, inside);
    } else if (!entry.isSymbolicLink()) {
      yield await fileAt(below, joinPath(remote, name));
    } else if (options.skipLinks !== true) {
      yield* followLink(below, joinPath(remote, name), options, inside);
    }
  }
}

function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}

async function* followLink(
  path: string,
  remote: string,
  options: WalkOptions,
  holders: readonly string[],
): AsyncGenerator<LocalEntry, void, undefined> {
  const target = await stat(path, { bigint: true }).catch(() => undefined);
  const link = `${JSON.stringify(path)} is a symbolic link that leads`;
  if (!target) yield { kind: 'skipped', why: `${link} nowhere: skipped` };
  else if (!target.isDirectory()) yield await fileAt(path, remote);
  else if (holders.includes(identityOf(target))) {
    yield { kind: 'skipped', why: `${link} back into a directory that holds it: skipped` };
  } else yield* walk(path, remote, options, holders);
}

async function fileAt(path: string, remote: string): Promise<LocalEntry> {
  const shown = JSON.stringify(path);
  try {
    const status = await stat(path);
    if (status.isFile()) return { kind: 'file', path, remote, sizeBytes: status.size };
    return { kind: 'skipped', why: `${shown} is a socket, a device or a pipe: skipped` };
  } catch (error) {
    return { kind: 'failed', path, error: fromErrno(error, `cannot read ${shown}`) };
  }
}

function notUtf8(path: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', `the name of ${JSON.stringify(path)} is not valid UTF-8`, {
    remedy: 'Rename it: remote names are UTF-8.',
  });
}
