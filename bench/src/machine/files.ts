/** The files that the bench moves: random, so that nothing on the way can compress or share them. */
import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';

/** A file to move, and how to know it again. */
export interface SourceFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** In hexadecimal. */
  readonly sha256: string;
}

/** An endless stream of bytes that the seed decides: AES in counter mode, as fast as the disk. */
export function seededBytes(seed: number): (lengthBytes: number) => Buffer {
  const key = createHash('sha256').update(String(seed)).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return (lengthBytes) => cipher.update(Buffer.alloc(lengthBytes));
}

/** Contents of small files by number: different from one another, and made without copying. */
export function smallContents(seed: number, sizeBytes: number): (index: number) => Buffer {
  const pool = seededBytes(seed)(sizeBytes + 4 * 1024 * 1024);
  // A prime step: offsets repeat only after millions of files.
  return (index) => {
    const start = (index * 4_099) % (pool.length - sizeBytes);
    return pool.subarray(start, start + sizeBytes);
  };
}

/** Writes `sizeBytes` bytes that the seed decides. */
export async function writeSourceFile(path: string, sizeBytes: number, seed: number): Promise<SourceFile> {
  const stepBytes = 4 * 1024 * 1024; // few calls, little memory
  const next = seededBytes(seed);
  const hash = createHash('sha256');
  const file = await open(path, 'w');
  try {
    for (let left = sizeBytes; left > 0; left -= stepBytes) {
      const bytes = next(Math.min(stepBytes, left));
      hash.update(bytes);
      await file.writeFile(bytes);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { path, sizeBytes, sha256: hash.digest('hex') };
}

/** The SHA-256 of a stream of bytes, in hexadecimal. */
export async function sha256OfStream(stream: AsyncIterable<unknown>): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of stream) hash.update(part as Buffer);
  return hash.digest('hex');
}

/** The SHA-256 of a file, in hexadecimal. */
export function sha256OfFile(path: string): Promise<string> {
  return sha256OfStream(createReadStream(path, { highWaterMark: 1024 * 1024 }));
}
