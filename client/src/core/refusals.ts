/** Refusals that the client makes by itself, in the tracker's words: the same thing is said of the same thing. */
import { HoldfastError, parentPath } from '@holdfast/shared';

export function alreadyExists(path: string): HoldfastError {
  return new HoldfastError('ALREADY_EXISTS', `${path} exists`, {
    remedy: 'Choose another name, or replace it (--force; in the library overwrite: true).',
    facts: { path },
  });
}

/** @param missing the first of the directories above `path` that is not there */
export function missingParent(path: string, missing: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `${missing} does not exist`, {
    remedy: `Make the directory first (client mkdir -p ${parentPath(path)}; in the library makeDirectory).`,
    facts: { path: missing },
  });
}

export function isADirectory(path: string): HoldfastError {
  return new HoldfastError('IS_A_DIRECTORY', `${path} is a directory`, { facts: { path } });
}

export function isAFile(path: string): HoldfastError {
  return new HoldfastError('NOT_A_DIRECTORY', `${path} is a file`, { facts: { path } });
}

export function isNotEmpty(path: string): HoldfastError {
  return new HoldfastError('NOT_EMPTY', `${path} is not empty`, {
    remedy: 'Empty the directory first, or delete it with all that is below it.',
    facts: { path },
  });
}
