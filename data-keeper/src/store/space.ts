/**
 * Room: who may write how much, decided before the first byte rather than by ENOSPC in the middle.
 *
 * The failure it answers: a file system that is full to the last byte also refuses the renames, syncs and
 * deletes that would make room again, and takes its neighbours down. So a reserve stays free, and a write
 * reserves its whole file first.
 */
import { type FileSystem, HoldfastError } from '@holdfast/shared';
import type { Capacity } from './chunk-store.js';

const GiB = 2 ** 30;

/**
 * What stays free of a file system: 5 % of it and at least 1 GiB, but at most a tenth, so that a 4 GiB card is
 * of use too (410 MiB); from 10 GiB it is 1 GiB, from 20 GiB 5 %.
 */
export function reserveBytes(totalBytes: number): number {
  return Math.floor(Math.min(Math.max(GiB, totalBytes * 0.05), totalBytes * 0.1));
}

/** Every piece takes an inode; with fewer left than this the file system counts as full. */
const reserveFiles = 1_000;

export class Space {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** What the operator allows in all; Infinity for all there is. */
  readonly #capacityBytes: number;
  #usedBytes = 0;
  #reservedBytes = 0;

  constructor(fileSystem: FileSystem, directory: string, capacityBytes = Infinity) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#capacityBytes = capacityBytes;
  }

  /** Counts files that came (positive) or went (negative). */
  count(bytes: number): void {
    this.#usedBytes += bytes;
  }

  /** How much more may be reserved now, in bytes; never negative. */
  async freeBytes(): Promise<number> {
    const { totalBytes, freeBytes, freeFiles } = await this.#fileSystem.space(this.#directory);
    if (freeFiles < reserveFiles) return 0;
    // What is reserved may be written in part already and is then counted twice: on the safe side.
    const onDisk = freeBytes - reserveBytes(totalBytes);
    const allowed = this.#capacityBytes - this.#usedBytes;
    return Math.max(0, Math.min(onDisk, allowed) - this.#reservedBytes);
  }

  /**
   * Reserves room for a file.
   *
   * @returns ends the reservation, once: the file is stored and counted, or gone
   * @throws HoldfastError OUT_OF_SPACE
   */
  async reserve(fileBytes: number): Promise<(stored: boolean) => void> {
    const freeBytes = await this.freeBytes();
    if (freeBytes < fileBytes) {
      throw new HoldfastError('OUT_OF_SPACE', 'this keeper has no room for the piece', {
        remedy: 'Add a keeper, free space on this one, or raise its --capacity.',
        facts: { free_bytes: freeBytes, needed_bytes: fileBytes },
      });
    }
    this.#reservedBytes += fileBytes;
    let ended = false;
    return (stored) => {
      if (ended) return;
      ended = true;
      this.#reservedBytes -= fileBytes;
      if (stored) this.#usedBytes += fileBytes;
    };
  }

  async capacity(): Promise<Capacity> {
    const freeBytes = await this.freeBytes();
    const usedBytes = this.#usedBytes;
    return { totalBytes: usedBytes + this.#reservedBytes + freeBytes, usedBytes, freeBytes };
  }
}
