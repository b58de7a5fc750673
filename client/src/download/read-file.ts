/**
 * A file, or a range of it, as bytes in memory: one question to the tracker, one buffer of the right size, and what
 * arrives goes to its place in it.
 */
import { HoldfastError, copyBytes } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { shown } from '../core/check-options.js';
import type { LocateChunksRequest } from '../ports/tracker-api.js';
import type { UploadOptions } from '../upload/upload.js';
import { type ReadOptions, openRange } from './read-stream.js';

export interface ReadFileOptions extends ReadOptions {
  /** Gives text in this encoding instead of a Buffer, which null stands for too. */
  readonly encoding?: BufferEncoding | null;
  /** The most bytes to read. Default 64 MiB: a larger file is an error and not an exhausted memory. */
  readonly maxBytes?: number;
}

export interface WriteFileOptions extends UploadOptions {
  /** Of `data` that is a string. Default, and with null, UTF-8. */
  readonly encoding?: BufferEncoding | null;
}

/** As much as the transfers of a client buffer by default. */
const defaultMaxBytes = 64 * 1024 * 1024;

/** The encoding that `options` ask for, or undefined for bytes. @throws HoldfastError INVALID_ARGUMENT */
export function checkEncoding({ encoding }: Pick<ReadFileOptions, 'encoding'>): BufferEncoding | undefined {
  if (encoding === undefined || encoding === null) return undefined;
  if (Buffer.isEncoding(encoding)) return encoding;
  throw new HoldfastError('INVALID_ARGUMENT', `there is no encoding ${shown(encoding)}`, {
    remedy: "Leave it out, or say 'utf8'.",
  });
}

/** @throws HoldfastError LIMIT_EXCEEDED before any byte is read */
export async function readFile(
  context: ClientContext,
  target: LocateChunksRequest['target'],
  options: ReadFileOptions,
): Promise<Buffer> {
  const { maxBytes = defaultMaxBytes } = options;
  const range = await openRange(context, target, options);
  if (range.lengthBytes > maxBytes) {
    throw new HoldfastError(
      'LIMIT_EXCEEDED',
      `there are ${range.lengthBytes} bytes to read, more than the ${maxBytes} that may be read into memory`,
      { remedy: 'Read a stream (createReadStream), a range (start, end), or say a larger maxBytes.' },
    );
  }
  const buffer = Buffer.allocUnsafeSlow(range.lengthBytes);
  let filled = 0;
  for await (const bytes of range.bytes()) {
    copyBytes(bytes, buffer, filled);
    filled += bytes.length;
  }
  return buffer;
}
