/** How an upload is cut: pure arithmetic over the limits. */
import { HoldfastError, limits } from '@holdfast/shared';

/**
 * The chunk size to ask for, in bytes: the wish (0: the default; the smallest for a small file), larger where the file would otherwise have
 * more extents than a version may. A stream's length is unknown, so its wish stands.
 *
 * @throws HoldfastError INVALID_ARGUMENT for a wish out of bounds, LIMIT_EXCEEDED for a file no chunk size fits
 */
export function chunkSizeFor(sizeBytes: number | undefined, wishBytes = 0): number {
  const { minChunkSizeBytes: min, maxChunkSizeBytes: max, maxExtentsPerCommit, blockSizeBytes } = limits;
  if (wishBytes !== 0 && !(Number.isSafeInteger(wishBytes) && wishBytes >= min && wishBytes <= max)) {
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `the chunk size must be ${min} to ${max} bytes (64KiB to 64MiB), not ${wishBytes}`,
    );
  }
  const needed = Math.ceil((sizeBytes ?? 0) / maxExtentsPerCommit / blockSizeBytes) * blockSizeBytes;
  if (needed > max) {
    throw new HoldfastError(
      'LIMIT_EXCEEDED',
      `a file may have at most ${maxExtentsPerCommit} chunks of ${max} bytes; this one has ${sizeBytes} bytes`,
      { remedy: 'Split the file.' },
    );
  }
  // A keeper must have room for a whole chunk: a small file asks for what it needs, which no default is below.
  if (wishBytes === 0 && sizeBytes !== undefined && sizeBytes <= min) return min;
  // The cluster's default is not known before the session is open; only when any would do is it left open.
  if (wishBytes === 0 && needed <= min) return 0;
  return Math.max(wishBytes || limits.defaultChunkSizeBytes, needed);
}

/**
 * How long chunks are made where they may be `chunkSizeBytes` long: whole blocks, so that the blocks of the chunks are
 * those of the file and its content digest costs nothing.
 */
export function cutSizeFor(chunkSizeBytes: number): number {
  return (
    chunkSizeBytes - (chunkSizeBytes > limits.blockSizeBytes ? chunkSizeBytes % limits.blockSizeBytes : 0)
  );
}

/** Beyond its size's share a transfer gets this for latency, queues and the sync at the end. */
const deadlineBaseMs = 10_000;
/** Slower than this is a broken link. */
const slowestBytesPerMs = (1024 * 1024) / 1_000;

/** How long moving `lengthBytes` may take in all, beside the progress timeouts. */
export function transferDeadlineMs(lengthBytes: number): number {
  return deadlineBaseMs + lengthBytes / slowestBytesPerMs;
}
