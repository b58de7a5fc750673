/**
 * Free memory that a process has never touched may cost a virtual machine's host a fault for each page, which the
 * guest's kernel counts as its own time: writes to a new file then take up to five times the CPU time, by chance.
 * Servers that have been up for a while have page caches in their place, and so has the bench.
 */
import { truncate, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { command } from './command.js';

/** Fills the machine's free memory with the page cache of a file of holes in `dir`, which the kernel takes back at will. */
export async function fillPageCache(dir: string): Promise<void> {
  if (process.platform !== 'linux') return;
  const path = join(dir, 'page-cache');
  await writeFile(path, '', { flag: 'a' });
  await truncate(path, Math.min(totalmem(), process.constrainedMemory() || Infinity));
  await command('dd', `if=${path}`, 'of=/dev/null', 'bs=1M', 'status=none');
}
