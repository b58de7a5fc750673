/** What a process holds open and should not hold for long. */
import { readdir, readlink } from 'node:fs/promises';

/** Pieces, and files that are gone from their directories already; nothing where there is no /proc. */
export async function heldFiles(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`;
  const names = await readdir(directory).catch(() => []);
  const targets = await Promise.all(names.map((name) => readlink(`${directory}/${name}`).catch(() => '')));
  return targets.filter((target) => /\/[0-9a-f]{32}\.\d+(\.[0-9a-f]+)?$|^\/.* \(deleted\)$/.test(target));
}
