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

const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '');

/**
 * Remembers the first failure that makes a storage unfit for writing, which never heals by itself unless it was for want
 * of a permission; and beside it that the file system, or a quota, had no room. These two end when a trial succeeds
 * (room-trial.ts, permission-trial.ts).
 */
export class StorageHealth {
  #failure: HoldfastError | undefined;
  #isFull = false;
  #lostSyncs = 0;

  get failure(): HoldfastError | undefined {
    return this.#failure;
  }

  /** True from a write or sync that found no room until `foundRoom`, whatever the file system says is free. */
  get isFull(): boolean {
    return this.#isFull;
  }

  foundRoom(): void {
    this.#isFull = false;
  }

  /** True if nothing but a permission is missing: what was refused had no effect, and nothing can have been lost. */
  get isDenied(): boolean {
    return this.#failure?.code === 'PERMISSION_DENIED';
  }

  /** Ends `isDenied`. */
  foundPermitted(): void {
    if (this.isDenied) this.#failure = undefined;
  }

  /** How many syncs of contents found no room; for `check`. */
  get lostSyncs(): number {
    return this.#lostSyncs;
  }

  /** Records a failed write, rename or listing and gives the error to throw. A full disk is no failed one. */
  failed(error: unknown, doing: string): HoldfastError {
    const failure = diskError(error, doing);
    if (isFull(error)) this.#isFull = true;
    // A name that is missing means a storage that is not there: StoragePresence finds that out, and it may come back.
    const isGone = errnoOf(error) === 'ENOENT';
    const isUnfit = failure.code === 'DISK_FAILED' || failure.code === 'PERMISSION_DENIED';
    if (isUnfit && !isGone) this.#remember(failure);
    return failure;
  }

  /** The first failure stays; but a denial, which may end, must not hide one that never does. */
  #remember(failure: HoldfastError): void {
    if (this.#failure === undefined || this.isDenied) this.#failure = failure;
  }

  /**
   * Records a failed sync of a directory. Whatever the errno, even ENOSPC: after it the kernel may have dropped the
   * names and would answer the next sync with success, so nothing on this disk can be acknowledged any more. Only with
   * too many open files nothing was synced at all (a directory is opened for it): that fails just this once.
   */
  syncFailed(error: unknown, doing: string): HoldfastError {
    const known = diskError(error, doing);
    if (known.code === 'LIMIT_EXCEEDED') return known;
    const { cause, facts, message } = known;
    const remedy = "Check the keeper's disk and kernel log, then restart the keeper.";
    const failure = new HoldfastError('DISK_FAILED', message, { cause, remedy, facts });
    this.#remember(failure);
    return failure;
  }

  /**
   * Records a failed sync of the contents of a file, which is to be dropped and never synced again. For want of room
   * only files that are being written can have lost bytes, and `check` has all of them dropped; what was synced before
   * was not waiting to be written. Any other failure is final.
   */
  contentSyncFailed(error: unknown, doing: string): HoldfastError {
    if (!isFull(error)) return this.syncFailed(error, doing);
    this.#lostSyncs += 1;
    return this.failed(error, doing);
  }

  /**
   * @param lostSyncs as it was when something unsynced was begun
   * @throws HoldfastError DISK_FAILED once anything has failed; OUT_OF_SPACE if a sync found no room since then
   */
  check(lostSyncs = this.#lostSyncs): void {
    if (this.#failure) throw this.#failure;
    if (lostSyncs !== this.#lostSyncs) throw noRoom('another sync found no room meanwhile');
  }

  /** @throws HoldfastError OUT_OF_SPACE while the file system has no room, whatever it says */
  checkRoom(): void {
    if (this.#isFull) throw noRoom('the file system of this keeper has no room');
  }
}

function noRoom(message: string): HoldfastError {
  return new HoldfastError('OUT_OF_SPACE', message, {
    remedy: 'Free space or raise the quota: the keeper finds out by itself. Or add a keeper.',
  });
}
