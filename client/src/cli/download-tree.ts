/** The local places that `download` writes to, and the remote trees that go there: alike for a run and its --dry-run. */
import type { Stats } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HoldfastError, baseName, errnoOf, fromErrno } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import type { FileToDownload } from '../download/download-many.js';
import { isSpecialFile, refuseTaken } from '../local/part-file.js';
import type { Entry } from '../ports/tracker-api.js';
import type { Batch } from './batch.js';
import type { CommandContext } from './command.js';
import { localPathIn } from './local-names.js';
import { type IsExcluded, excludedBy } from './path-pattern.js';

/** What is at a local path; undefined for nothing. */
export async function statLocal(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fromErrno(error, `cannot write ${JSON.stringify(path)}`);
  }
}

export function noDirectory(local: string, target: Stats | undefined): HoldfastError {
  const shown = JSON.stringify(local);
  if (target) {
    return new HoldfastError('NOT_A_DIRECTORY', `${shown} is a file, not a directory`, {
      remedy: 'Name a directory to put the files into.',
    });
  }
  return new HoldfastError('NOT_FOUND', `there is no local directory ${shown}`, { remedy: 'Make it first.' });
}

interface Walk {
  readonly batch: Batch;
  readonly client: HoldfastClient;
  readonly context: CommandContext;
  /** Makes a local directory, or only sees whether it could. */
  readonly makeDirectory: (path: string) => Promise<void>;
}

/** The files below a remote directory, with their places; local directories are made on the way. */
export async function* walkRemote(
  walk: Walk,
  remote: string,
  local: string,
  names: readonly string[] = [],
): AsyncGenerator<FileToDownload, void, undefined> {
  const { client, batch, context, makeDirectory } = walk;
  const { signal } = context;
  const entries = client.list(remote, { signal });
  for await (const entry of notExcluded(entries, names, excludedBy(context.flags))) {
    let to: string | undefined;
    await batch.run({ path: entry.path }, signal, async () => {
      const place = localPathIn(local, entry.path);
      if (entry.type === 'directory') await makeDirectory(place);
      to = place;
    });
    if (to === undefined) continue;
    if (entry.type === 'directory') yield* walkRemote(walk, entry.path, to, [...names, baseName(entry.path)]);
    else yield { entry, localPath: to };
  }
}

/** The entries of a directory that are not left out; `names` are those from the top of the tree down to it. */
async function* notExcluded(
  entries: AsyncIterable<Entry>,
  names: readonly string[],
  isExcluded: IsExcluded | undefined,
): AsyncGenerator<Entry, void, undefined> {
  for await (const entry of entries) {
    const isLeftOut = isExcluded?.([...names, baseName(entry.path)], entry.type === 'directory');
    if (isLeftOut !== true) yield entry;
  }
}

/** @throws HoldfastError NOT_A_DIRECTORY, NOT_FOUND for a missing parent … */
export async function makeLocalDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const there = errnoOf(error) === 'EEXIST' ? await statLocal(path) : undefined;
    if (there?.isDirectory()) return;
    if (there) throw noDirectory(path, there);
    throw fromErrno(error, `cannot make the directory ${JSON.stringify(path)}`);
  }
}

/** For --dry-run: whether a directory could be made, as far as what is there tells. @throws as makeLocalDirectory */
export async function refuseLocalDirectory(path: string): Promise<void> {
  const there = await statLocal(path);
  if (there && !there.isDirectory()) throw noDirectory(path, there);
}

/** The same of the top of a tree, whose parent nothing makes. */
export async function refuseLocalTop(path: string): Promise<void> {
  await refuseLocalDirectory(path);
  await refuseMissingParent(path, 'cannot make the directory');
}

/**
 * For --dry-run: whether a file could be written, as far as what is there tells.
 *
 * @throws HoldfastError as a download
 */
export async function refuseLocalFile(path: string, overwrite: boolean): Promise<void> {
  if (await isSpecialFile(path)) return;
  try {
    await refuseTaken(path, overwrite);
  } catch (error) {
    throw fromErrno(error, `cannot write ${JSON.stringify(path)}`);
  }
}

/** @param doing what could not be done in it */
export async function refuseMissingParent(path: string, doing: string): Promise<void> {
  try {
    await stat(dirname(path));
  } catch (error) {
    throw fromErrno(error, `${doing} ${JSON.stringify(path)}`);
  }
}
