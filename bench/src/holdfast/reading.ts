/** Reading through the library's streams as a program would, with nothing done to the bytes. */
import type { HoldfastClient } from '@holdfast/client';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Range } from '../contender.js';

/** Reads a stream to its end; how many bytes came. */
export async function countBytes(stream: Readable): Promise<number> {
  let bytes = 0;
  // Not iterated: a promise for each part would cost more than the part does.
  stream.on('data', (part: Buffer) => {
    bytes += part.length;
  });
  await finished(stream);
  return bytes;
}

/** Reads a range to its end. Resolves to when its first byte came, in milliseconds from the request. */
export async function readRange(
  client: HoldfastClient,
  path: string,
  { start, lengthBytes }: Range,
): Promise<number> {
  const startMs = performance.now();
  let firstByteMs: number | undefined;
  let bytes = 0;
  for await (const part of client.createReadStream(path, { start, end: start + lengthBytes - 1 })) {
    firstByteMs ??= performance.now() - startMs;
    bytes += (part as Buffer).length;
  }
  if (bytes !== lengthBytes || firstByteMs === undefined) {
    throw new Error(`of ${lengthBytes} bytes at ${start} came ${bytes}`);
  }
  return firstByteMs;
}
