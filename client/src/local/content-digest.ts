/** The content digest of what is on this side: a local file, bytes, a stream. */
import { createReadStream } from 'node:fs';
import { fromErrno, limits, throwIfCancelled } from '@holdfast/shared';
import { digestOfBytes } from '../core/content-digest.js';
import type { CallSignal } from '../namespace/namespace.js';
import { bytesOf } from '../upload/stream-source.js';

/**
 * The content digest of a local file (by its path), of bytes, or of a stream, as 64 hexadecimal digits: the same as
 * `contentDigest` of an Entry with the same bytes. Reads all of it, with little memory.
 *
 * It finds accidents, not forgeries: it is made of CRC-32s, and whoever stored a file said its digest.
 *
 * @throws HoldfastError NOT_FOUND, PERMISSION_DENIED, IS_A_DIRECTORY, CANCELLED …
 * @example
 * const { contentDigest: remote } = await client.stat('/photos/cat.jpg');
 * const same = remote === (await contentDigest('cat.jpg'));
 */
export async function contentDigest(
  source: string | Uint8Array | AsyncIterable<unknown>,
  { signal }: CallSignal = {},
): Promise<string> {
  if (typeof source === 'string') return (await digestOfRange(source, {}, signal)).toString('hex');
  const items = source instanceof Uint8Array ? [source] : checked(source, signal);
  return (await digestOfBytes(items)).toString('hex');
}

/** The same for the bytes from `start` to `end`, which is included, of a local file. */
export async function digestOfRange(
  path: string,
  range: { readonly start?: number; readonly end?: number },
  signal?: AbortSignal,
): Promise<Buffer> {
  try {
    const stream = createReadStream(path, { ...range, highWaterMark: limits.messageDataBytes });
    return await digestOfBytes(checked(stream, signal));
  } catch (error) {
    throw fromErrno(error, `cannot read ${JSON.stringify(path)}`);
  }
}

async function* checked(
  items: AsyncIterable<unknown>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  throwIfCancelled(signal);
  for await (const item of items) {
    throwIfCancelled(signal);
    yield bytesOf(item);
  }
}
