/**
 * Standard output that takes no more. Whoever reads a listing and leaves (`| head`) has all that he wanted; of work
 * such as a download he must learn that it is not all done, and so must everybody whose disk is full.
 */
import { HoldfastError, errnoOf, fromErrno } from '@holdfast/shared';

/** What a failed write to standard output means. */
export function outputLost(error: Error): HoldfastError {
  if (errnoOf(error) !== 'EPIPE') return fromErrno(error, 'cannot write standard output', 'DISK_FAILED');
  return new HoldfastError('CANCELLED', 'whoever read the output left before all was done', {
    remedy: 'Begin again to do the rest; --quiet writes nothing.',
    cause: error,
  });
}

export function isReaderGone(lost: HoldfastError): boolean {
  return lost.code === 'CANCELLED';
}
