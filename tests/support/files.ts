/** Files for tests: random ones under a printed seed, and their digests. */
import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

/** `length` bytes that a seed decides: AES-CTR of zeros, as fast as the disk. */
export function seededBytes(seed: number, length: number): Buffer {
  return seededStream(seed).update(Buffer.alloc(length));
}

function seededStream(seed: number): ReturnType<typeof createCipheriv> {
  const key = createHash('sha256').update(String(seed)).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
}

/** Writes a file of `sizeBytes` that a seed decides; its SHA-256 in hexadecimal. */
export async function writeSeededFile(path: string, sizeBytes: number, seed: number): Promise<string> {
  const stepBytes = 4 * 1024 * 1024;
  const stream = seededStream(seed);
  const hash = createHash('sha256');
  const file = await open(path, 'w');
  try {
    for (let left = sizeBytes; left > 0; left -= stepBytes) {
      const bytes = stream.update(Buffer.alloc(Math.min(stepBytes, left)));
      hash.update(bytes);
      await file.write(bytes);
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** The SHA-256 of a file, in hexadecimal. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path, { highWaterMark: 1024 * 1024 }))
    hash.update(part as Buffer);
  return hash.digest('hex');
}

/** All the bytes of a stream. */
export async function readAll(stream: Readable): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Every name below a folder with what it is: "dir", or the SHA-256 of a file, or the target of a link. */
export async function fingerprint(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const visit = async (relative: string): Promise<void> => {
    for (const entry of await readdir(join(folder, relative), { withFileTypes: true })) {
      const name = join(relative, entry.name);
      if (entry.isDirectory()) {
        found.set(name, 'dir');
        await visit(name);
      } else if (entry.isSymbolicLink()) found.set(name, `link ${await readlink(join(folder, name))}`);
      else {
        const bytes = await readFile(join(folder, name));
        found.set(name, createHash('sha256').update(bytes).digest('hex'));
      }
    }
  };
  await visit('');
  return found;
}

/** A temporary folder that is removed with the test. */
export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const base = process.env['HOLDFAST_TEST_DIR'] ?? tmpdir();
  await mkdir(base, { recursive: true });
  const path = await mkdtemp(join(base, 'holdfast-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}
