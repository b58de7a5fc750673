/** The directory that a tree goes into. */
import { HoldfastError, hasCode } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';

/**
 * Makes it, or is content with one that is there.
 *
 * @throws HoldfastError NOT_A_DIRECTORY, NOT_FOUND if a parent is missing and `createParents` is not set
 */
export async function makeTop(
  client: HoldfastClient,
  remote: string,
  { createParents = false, signal }: { readonly createParents?: boolean; readonly signal: AbortSignal },
): Promise<void> {
  try {
    await client.makeDirectory(remote, { parents: createParents, signal });
  } catch (error) {
    if (!hasCode(error, 'ALREADY_EXISTS')) throw error;
    await client.makeDirectory(remote, { parents: true, signal }).catch((again: unknown) => {
      throw hasCode(again, 'ALREADY_EXISTS') ? notADirectory(remote) : again;
    });
  }
}

export function notADirectory(path: string): HoldfastError {
  return new HoldfastError('NOT_A_DIRECTORY', `${JSON.stringify(path)} is a file, not a directory`, {
    remedy: 'Name a directory to put the files into.',
  });
}

/** @param orWords what else can be done about it */
export function noRemoteDirectory(path: string, orWords = ''): HoldfastError {
  return new HoldfastError('NOT_FOUND', `there is no remote directory ${JSON.stringify(path)}`, {
    remedy: `Make it first (client mkdir -p ${path})${orWords}.`,
  });
}
