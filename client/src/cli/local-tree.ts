/**
 * A local directory, walked one entry at a time. Symbolic links: to a file, its content is taken; to a directory
 * or to nowhere, the link is skipped with a warning, so no walk goes in circles or out of its tree unseen.
 * Sockets, devices and pipes are skipped with a warning.
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

/** All that is below the directory `path`, itself first, with where it goes below `remote`. */
export async function* walkLocal(path: string, remote: string): AsyncGenerator<LocalEntry, void, undefined> {
  yield { kind: 'directory', path, remote };
  let directory;
  try {
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
      yield* walkLocal(below, joinPath(remote, name));
    } else {
      yield await classify(below, joinPath(remote, name), entry.isSymbolicLink());
    }
  }
}

async function classify(path: string, remote: string, isLink: boolean): Promise<LocalEntry> {
  const shown = JSON.stringify(path);
  try {
    const status = await stat(path);
    if (status.isFile()) return { kind: 'file', path, remote, sizeBytes: status.size };
    if (isLink && status.isDirectory()) {
      return { kind: 'skipped', why: `${shown} is a symbolic link to a directory: skipped` };
    }
    return { kind: 'skipped', why: `${shown} is a socket, a device or a pipe: skipped` };
  } catch (error) {
    if (isLink) return { kind: 'skipped', why: `${shown} is a symbolic link that leads nowhere: skipped` };
    return { kind: 'failed', path, error: fromErrno(error, `cannot read ${shown}`) };
  }
}

function notUtf8(path: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', `the name of ${JSON.stringify(path)} is not valid UTF-8`, {
    remedy: 'Rename it: remote names are UTF-8.',
  });
}
