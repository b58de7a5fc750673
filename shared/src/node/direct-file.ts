/**
 * Reading past the page cache (O_DIRECT), so that what is verified is the medium and not a copy of it in memory.
 * Linux offers it to Node; elsewhere, and on a file system that refuses, there is nothing here and the caller reads
 * through the cache and says so.
 *
 * The kernel wants position, length and the memory's address to be multiples of a page. Node gives no address away,
 * and an ordinary Buffer is 16 bytes off; the memory of a WebAssembly.Memory is mapped by itself and so begins on a
 * page always. It is not freed when one would expect, so the few that are needed at a time are used again.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errnoOf } from '../errors/errno.js';
import type { OpenFile } from '../ports/file-system.js';

/** Enough for every device: they ask for their logical block, 512 or 4,096 bytes. */
const alignBytes = 4096;
const wasmPageBytes = 65_536;
/** A message of blocks, and a page at each end of one that is not aligned: 18 pages of WebAssembly's. */
const bufferBytes = 18 * wasmPageBytes;

/** Node has it, and the types that come with Node do not say so. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

const free: Uint8Array[] = [];

/** @throws where the machine has no WebAssembly or no address space for it */
function takeBuffer(): Uint8Array {
  const pages = bufferBytes / wasmPageBytes;
  return free.pop() ?? new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
}

class DirectFile implements OpenFile {
  readonly fromMedium = true;
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number> {
    const buffer = takeBuffer();
    try {
      let total = 0;
      while (total < length) {
        const at = position + total;
        const skip = at % alignBytes;
        const wanted = Math.min(length - total, bufferBytes - skip);
        const span = Math.ceil((skip + wanted) / alignBytes) * alignBytes;
        const { bytesRead } = await this.#handle.read(buffer, 0, span, at - skip);
        const got = Math.min(bytesRead - skip, wanted);
        if (got > 0) {
          target.set(buffer.subarray(skip, skip + got), targetOffset + total);
          total += got;
        }
        // Short of what was asked is the end of the file: there, and only there, a read ends inside a page.
        if (got < wanted && (got <= 0 || bytesRead % alignBytes !== 0)) break;
      }
      return total;
    } finally {
      free.push(buffer);
    }
  }

  write(): Promise<void> {
    return Promise.reject(new Error('a file that is read from the medium is not written'));
  }

  syncData(): Promise<void> {
    return Promise.resolve();
  }

  async sizeBytes(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** The file, to be read from the medium; undefined where that is not to be had. Rejects as `open` does. */
export async function openDirect(path: string): Promise<OpenFile | undefined> {
  // Not there on every platform, whatever the types say.
  const direct = constants.O_DIRECT as number | undefined;
  if (direct === undefined) return undefined;
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | direct);
  } catch (error) {
    if (errnoOf(error) === 'EINVAL') return undefined;
    throw error;
  }
  const file = new DirectFile(handle);
  try {
    // Some refuse only when it comes to reading.
    await file.read(new Uint8Array(1), 0, 1, 0);
    return file;
  } catch (error) {
    await handle.close();
    const errno = errnoOf(error);
    // Without an errno it was the memory that was not to be had.
    if (errno === undefined || errno === 'EINVAL') return undefined;
    throw error;
  }
}
