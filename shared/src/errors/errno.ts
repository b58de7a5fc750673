/**
 * The one mapping from the operating system's error codes to Holdfast's.
 */
import type { ErrorCode } from './error-codes.js';
import { HoldfastError } from './holdfast-error.js';

const byErrno: Readonly<Record<string, { code: ErrorCode; remedy: string }>> = {
  ENOENT: { code: 'NOT_FOUND', remedy: 'Check the path.' },
  ENOTDIR: { code: 'NOT_A_DIRECTORY', remedy: 'A part of the path is a file; check the path.' },
  EISDIR: { code: 'IS_A_DIRECTORY', remedy: 'Name a file, not a directory.' },
  EEXIST: { code: 'ALREADY_EXISTS', remedy: 'Choose another name, or remove what is there.' },
  ENOTEMPTY: { code: 'NOT_EMPTY', remedy: 'Empty the directory first.' },
  EACCES: { code: 'PERMISSION_DENIED', remedy: 'Check who owns the file and its permissions.' },
  EPERM: { code: 'PERMISSION_DENIED', remedy: 'Check who owns the file and its permissions.' },
  EROFS: { code: 'DISK_FAILED', remedy: 'The file system is read-only; check the disk, then remount it.' },
  ENOSPC: { code: 'OUT_OF_SPACE', remedy: 'Free some space, or use another disk.' },
  EDQUOT: { code: 'OUT_OF_SPACE', remedy: 'Raise the quota, or free some space.' },
  EFBIG: { code: 'OUT_OF_SPACE', remedy: 'The file would pass a size limit of the process or file system.' },
  EMFILE: { code: 'LIMIT_EXCEEDED', remedy: 'Raise the limit on open files (ulimit -n).' },
  ENFILE: { code: 'LIMIT_EXCEEDED', remedy: 'The machine has too many open files.' },
  ENAMETOOLONG: { code: 'INVALID_ARGUMENT', remedy: 'The name is too long for this file system.' },
  ELOOP: { code: 'INVALID_ARGUMENT', remedy: 'The path has a loop of symbolic links.' },
  EIO: { code: 'DISK_FAILED', remedy: 'Check the disk and the kernel log.' },
  EADDRINUSE: { code: 'ADDRESS_IN_USE', remedy: 'Choose another port, or stop what listens there.' },
  EADDRNOTAVAIL: { code: 'INVALID_ARGUMENT', remedy: 'This machine does not have that address.' },
  ECONNREFUSED: { code: 'UNAVAILABLE', remedy: 'Check the address, and that the server runs.' },
  ECONNRESET: { code: 'UNAVAILABLE', remedy: 'Check that the server runs.' },
  ETIMEDOUT: { code: 'UNAVAILABLE', remedy: 'Check the network.' },
};

/** The errno code (`"ENOENT"`) of an error from Node, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

/**
 * Turns an error of the operating system into a HoldfastError that says what was being done.
 *
 * @param doing what was being done, to start the message with: `cannot read "notes.txt"`
 * @param fallback the code for an errno without a mapping
 */
export function fromErrno(error: unknown, doing: string, fallback: ErrorCode = 'INTERNAL'): HoldfastError {
  if (HoldfastError.is(error)) return error;
  const errno = errnoOf(error);
  const known = errno === undefined ? undefined : byErrno[errno];
  const reason = (error as Partial<Error> | undefined)?.message ?? String(error);
  return new HoldfastError(known?.code ?? fallback, `${doing}: ${reason}`, {
    cause: error,
    ...(known && { remedy: known.remedy }),
    ...(errno !== undefined && { facts: { errno } }),
  });
}
