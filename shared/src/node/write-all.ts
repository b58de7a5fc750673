/** Writing bytes at a position, whole or not at all, in as few system calls as their parts allow. */
import type { FileHandle } from 'node:fs/promises';
import { type Bytes, partsOf } from '../domain/bytes.js';

/** What one system call takes on every platform (IOV_MAX is 1,024 or more). */
const maxPartsPerWrite = 1_024;

/**
 * Writes all of `bytes` at `position`; a short write is continued.
 *
 * @throws the errno of the file system; ENOSPC also for a write that took nothing
 */
export async function writeAll(handle: FileHandle, bytes: Bytes, position: number): Promise<void> {
  let parts = bytes.length > 0 ? partsOf(bytes) : [];
  let at = position;
  while (parts.length > 0) {
    const { bytesWritten } = await handle.writev(parts.slice(0, maxPartsPerWrite), at);
    // A full disk shows first as a short count without an error, then as ENOSPC on the next call.
    if (bytesWritten === 0) {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    }
    at += bytesWritten;
    parts = without(parts, bytesWritten);
  }
}

/** `parts` without their first `count` bytes. */
function without(parts: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  const index = parts.findIndex((part) => {
    if (left < part.length) return true;
    left -= part.length;
    return false;
  });
  const first = parts[index];
  return first ? [first.subarray(left), ...parts.slice(index + 1)] : [];
}
