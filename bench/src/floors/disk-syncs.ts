/** How often the disk can be asked to make 4 KiB durable: the floor under every small durable write. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { timed } from '../children/timed.js';

/** The block of most file systems. */
const block = Buffer.alloc(4_096, 1);

/**
 * Writes a block and calls fdatasync, `count` times, on as many files side by side as are in flight; how long each
 * took, in milliseconds. Every write is to a new place, as files that are stored are.
 */
export async function syncBlocks(folder: string, count: number, inFlight: number): Promise<Float64Array> {
  const files = await Promise.all(
    Array.from({ length: inFlight }, (_, index) => open(join(folder, `sync-${index}`), 'w')),
  );
  const free = [...files];
  try {
    return await timed(count, inFlight, async () => {
      const file = free.pop();
      if (!file) throw new Error('more in flight than there are files');
      await file.write(block); // after the last one
      await file.datasync();
      free.push(file);
    });
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}
