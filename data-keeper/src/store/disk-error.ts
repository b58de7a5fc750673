/**
 * A disk's failure as an error that may travel: with the errno and without the path, which is nobody's business
 * outside this machine (the cause keeps it for the log).
 */
import { type ErrorCode, HoldfastError, errnoOf, fromErrno } from '@holdfast/shared';

/** What is no fault of the disk: it passes, or a person mends it, and no piece is bad for it. */
const passing: readonly ErrorCode[] = ['OUT_OF_SPACE', 'LIMIT_EXCEEDED', 'PERMISSION_DENIED'];

/** OUT_OF_SPACE, LIMIT_EXCEEDED (open files), PERMISSION_DENIED or, for everything else, DISK_FAILED. */
export function diskError(error: unknown, doing: string): HoldfastError {
  if (HoldfastError.is(error)) return error;
  const errno = errnoOf(error);
  const known = fromErrno(error, doing, 'DISK_FAILED');
  const passes = passing.includes(known.code);
  return new HoldfastError(passes ? known.code : 'DISK_FAILED', `${doing}: ${errno ?? 'the disk failed'}`, {
    cause: error,
    remedy: passes ? known.remedy : "Check the keeper's disk and kernel log, then restart the keeper.",
    ...(errno !== undefined && { facts: { errno } }),
  });
}

/** Remembers the first failure that makes a storage unfit for writing. It never heals by itself. */
export class StorageHealth {
  #failure: HoldfastError | undefined;

  get failure(): HoldfastError | undefined {
    return this.#failure;
  }

  /** Records a failed write, rename or listing and gives the error to throw. A full disk is no failed one. */
  failed(error: unknown, doing: string): HoldfastError {
    const failure = diskError(error, doing);
    // A name that is missing means a storage that is not there: StoragePresence finds that out, and it may come back.
    const isGone = errnoOf(error) === 'ENOENT';
    const isUnfit = failure.code === 'DISK_FAILED' || failure.code === 'PERMISSION_DENIED';
    if (isUnfit && !isGone) this.#failure ??= failure;
    return failure;
  }

  /**
   * Records a failed sync. Whatever the errno, even ENOSPC: after it the kernel may have dropped the bytes and
   * would answer the next sync with success, so nothing on this disk can be acknowledged any more. Only with too
   * many open files nothing was synced at all (a directory is opened for it): that fails just this once.
   */
  syncFailed(error: unknown, doing: string): HoldfastError {
    const known = diskError(error, doing);
    if (known.code === 'LIMIT_EXCEEDED') return known;
    const { cause, facts, message } = known;
    const remedy = "Check the keeper's disk and kernel log, then restart the keeper.";
    const failure = new HoldfastError('DISK_FAILED', message, { cause, remedy, facts });
    this.#failure ??= failure;
    return failure;
  }

  /** @throws HoldfastError DISK_FAILED once anything has failed */
  check(): void {
    if (this.#failure) throw this.#failure;
  }
}
