/** Where a run of the bench keeps its data. */
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isInMemory } from './description.js';

/** A new directory, which the caller removes, on a disk if there is one to be found. */
export async function workingDirectory(chosen: string | undefined): Promise<string> {
  if (chosen !== undefined) {
    await mkdir(chosen, { recursive: true });
    return mkdtemp(join(resolve(chosen), 'holdfast-bench-'));
  }
  const own = fileURLToPath(new URL('../..', import.meta.url));
  const parent = (await isInMemory(tmpdir())) ? own : tmpdir();
  return mkdtemp(join(parent, 'holdfast-bench-'));
}
