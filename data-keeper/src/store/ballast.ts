/**
 * A little room that is kept for the keeper itself.
 *
 * The failure it answers: a file system that others have filled to the last byte. The keeper can then not write down
 * which tracker it obeys, so it obeys none; and cannot move a piece to the trash, whose directory has to grow for it,
 * so nothing ever becomes free. RESERVE in the data directory is given up for such a write, and made again after it.
 */
import { type FileSystem, HoldfastError, errnoOf } from '@holdfast/shared';
import { join } from 'node:path';
import { names } from './data-directory.js';

/** Some state files, and blocks for the directories that grow: hundreds of what one write needs. */
const ballastBytes = 1024 * 1024;

export class Ballast {
  readonly #fileSystem: FileSystem;
  readonly #path: string;
  #isThere = false;

  constructor(fileSystem: FileSystem, dataDir: string) {
    this.#fileSystem = fileSystem;
    this.#path = join(dataDir, names.reserve);
  }

  /** Makes it if it is missing and there is room; without it the keeper works too. Never rejects. */
  async make(): Promise<void> {
    if (this.#isThere) return;
    try {
      const status = await this.#fileSystem.stat(this.#path);
      if (status?.sizeBytes === ballastBytes) {
        this.#isThere = true;
        return;
      }
      if (status) await this.#fileSystem.unlink(this.#path);
      const file = await this.#fileSystem.open(this.#path, 'create');
      try {
        await file.write(Buffer.alloc(ballastBytes, 0xff), 0);
      } finally {
        await file.close();
      }
      this.#isThere = true;
    } catch {
      // What there is of it would be all the room there is.
      await this.#drop().catch(() => undefined);
    }
  }

  /** Runs a small write; if there is no room for it, once more without the ballast. */
  async spend<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (!isOutOfSpace(error) || !(await this.#drop())) throw error;
    }
    try {
      return await write();
    } finally {
      await this.make();
    }
  }

  async #drop(): Promise<boolean> {
    this.#isThere = false;
    try {
      await this.#fileSystem.unlink(this.#path);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw error;
    }
  }
}

function isOutOfSpace(error: unknown): boolean {
  if (HoldfastError.is(error)) return error.code === 'OUT_OF_SPACE';
  return ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '');
}
