/**
 * What the tracker would refuse, said before it is asked: for --dry-run. The errors are the tracker's. Between the look
 * and the real run anything may come and go.
 */
import { HoldfastError, hasCode, parentPath } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import { alreadyExists, isADirectory, isAFile, isNotEmpty, missingParent } from '../core/refusals.js';
import type { Entry } from '../ports/tracker-api.js';
import { entryAt } from './entries.js';
import { notADirectory } from './make-top.js';

export interface Looking {
  readonly overwrite?: boolean;
  /** Whether missing parents would be made. */
  readonly createParents?: boolean;
  readonly signal: AbortSignal;
}

/** A file where `there` is. @throws HoldfastError ALREADY_EXISTS, IS_A_DIRECTORY */
export function refuseFileOver(
  path: string,
  there: Pick<Entry, 'type'> | undefined,
  overwrite = false,
): void {
  if (there && !overwrite) throw alreadyExists(path);
  if (there?.type === 'directory') throw isADirectory(path);
}

/** A file at a path. @throws HoldfastError as refuseFileOver, NOT_FOUND for a missing parent, NOT_A_DIRECTORY */
export async function refuseFileAt(client: HoldfastClient, path: string, looking: Looking): Promise<void> {
  await refuseFileWhere(client, path, await entryAt(client, path, looking.signal), looking);
}

/** The same where it is known what is there. */
export async function refuseFileWhere(
  client: HoldfastClient,
  path: string,
  there: Entry | undefined,
  looking: Looking,
): Promise<void> {
  refuseFileOver(path, there, looking.overwrite);
  if (!there) await refuseMissingParent(client, path, looking);
}

async function refuseMissingParent(
  client: HoldfastClient,
  path: string,
  { createParents = false, signal }: Looking,
): Promise<void> {
  if (createParents) return;
  await client.stat(parentPath(path), { signal }).catch((error: unknown) => {
    throw hasCode(error, 'NOT_FOUND') ? missingParent(path, error.facts['path'] ?? parentPath(path)) : error;
  });
}

/**
 * The directory that a tree goes into; resolves to what is there.
 *
 * @throws HoldfastError as makeTop
 */
export async function refuseTopAt(
  client: HoldfastClient,
  path: string,
  looking: Looking,
): Promise<Entry | undefined> {
  const there = await entryAt(client, path, looking.signal);
  if (there?.type === 'file') throw notADirectory(path);
  if (!there) await refuseMissingParent(client, path, looking);
  return there;
}

/** A move. @throws HoldfastError ALREADY_EXISTS, NOT_FOUND, NOT_A_DIRECTORY, IS_A_DIRECTORY, NOT_EMPTY, INVALID_ARGUMENT */
export async function refuseMove(
  client: HoldfastClient,
  moving: Entry,
  path: string,
  { overwrite = false, signal }: Looking,
): Promise<void> {
  if (path.startsWith(`${moving.path}/`)) {
    throw new HoldfastError('INVALID_ARGUMENT', `${moving.path} cannot be moved into itself (${path})`);
  }
  if (moving.type === 'file') return refuseFileAt(client, path, { overwrite, signal });
  const there = await entryAt(client, path, signal);
  if (!there) await refuseMissingParent(client, path, { signal });
  else if (!overwrite) throw alreadyExists(path);
  else if (there.type === 'file') throw isAFile(path);
  else {
    const { done } = await client.list(path, { signal }).next();
    if (done !== true) throw isNotEmpty(path);
  }
}
