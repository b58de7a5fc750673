/**
 * Part files of downloads that were killed, and that nothing can go on with: removed by whoever downloads into the
 * same directory later.
 */
import { opendir, realpath, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isOrphaned } from './owned-file.js';
import { isPartName, onceLabel } from './part-file.js';

/** Directories that are remembered, so that each is read once: more than a walk comes back to. */
const maxRemembered = 1_000;

export class OrphanedParts {
  readonly #removed = new Map<string, Promise<void>>();

  /** As removeBeside, of the file that `path` leads to, if it is a symbolic link. */
  async removeBesideTarget(path: string): Promise<void> {
    return this.removeBeside(await realpath(path).catch(() => path));
  }

  /** Removes those of the directory that `path` is in, the first time that it is asked to. Never rejects. */
  async removeBeside(path: string): Promise<void> {
    const directory = dirname(path);
    const before = this.#removed.get(directory);
    if (before) return before;
    if (this.#removed.size >= maxRemembered) this.#removed.clear();
    // What cannot be read or removed is in nobody's way.
    const removing = removeIn(directory).catch(() => undefined);
    this.#removed.set(directory, removing);
    return removing;
  }
}

async function removeIn(directory: string): Promise<void> {
  for await (const { name } of await opendir(directory)) {
    if (!isPartName(name)) continue;
    const [, owner = '', label] = name.split('.').reverse();
    if (label !== onceLabel) continue;
    const path = join(directory, name);
    if (await isOrphaned(path, owner)) await unlink(path).catch(() => undefined);
  }
}
