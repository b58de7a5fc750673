/**
 * Room: who may write how much, decided before the first byte rather than by ENOSPC in the middle.
 *
 * The failure it answers: a file system that is full to the last byte also refuses the renames, syncs and
 * deletes that would make room again, and takes its neighbours down. So a reserve stays free, and a write
 * reserves its whole file first.
 *
 * The file system is not asked for every piece: what came since it was asked last is known here. Others may fill
 * it too, which shows with the next look.
 */
import { type Clock, type FileSystem, type FileSystemSpace, HoldfastError } from '@holdfast/shared';
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

/**
 * How long an answer of the file system is good: in this time others can hardly write the reserve full. Heartbeats
 * ask every second, so writes seldom do.
 */
const lookMs = 2_000;

/** What the file system had when it was asked, and how much had been stored here by then. */
interface Look {
  readonly space: FileSystemSpace;
  readonly atMs: number;
  readonly storedBytes: number;
  readonly storedFiles: number;
}

export class Space {
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #directory: string;
  /** What the operator allows in all; Infinity for all there is. */
  readonly #capacityBytes: number;
  #usedBytes = 0;
  #reservedBytes = 0;
  /** Stored since this start; what went again is not taken off, which errs on the safe side. */
  #storedBytes = 0;
  #storedFiles = 0;
  #lastLook: Look | undefined;

  constructor(fileSystem: FileSystem, clock: Clock, directory: string, capacityBytes = Infinity) {
    this.#fileSystem = fileSystem;
    this.#clock = clock;
    this.#directory = directory;
    this.#capacityBytes = capacityBytes;
  }

  /** Counts files that came (positive) or went (negative). */
  count(bytes: number): void {
    this.#usedBytes += bytes;
  }

  /**
   * How much more may be reserved now, in bytes; never negative. Looked up anew unless the last look is young and
   * shows `enoughBytes`.
   *
   * @param spareBytes used bytes that could be given back. Where others have used up the reserve, they go there first
   */
  async freeBytes(enoughBytes = Infinity, spareBytes = 0): Promise<number> {
    const last = this.#lastLook;
    const isYoung = last !== undefined && this.#clock.monotonicMs() - last.atMs < lookMs;
    const known = isYoung ? this.#freeBy(last, spareBytes) : 0;
    return known >= enoughBytes ? known : this.#freeBy(await this.#look(), spareBytes);
  }

  async #look(): Promise<Look> {
    // As of now: what is stored while the file system answers may be in the answer or not, and is counted.
    const before = {
      atMs: this.#clock.monotonicMs(),
      storedBytes: this.#storedBytes,
      storedFiles: this.#storedFiles,
    };
    const look = { ...before, space: await this.#fileSystem.space(this.#directory) };
    this.#lastLook = look;
    return look;
  }

  #freeBy({ space, storedBytes, storedFiles }: Look, spareBytes: number): number {
    const { totalBytes, freeBytes, freeFiles } = space;
    if (freeFiles - (this.#storedFiles - storedFiles) < reserveFiles) return 0;
    // What is reserved may be written in part already and is then counted twice: on the safe side.
    const onDisk = freeBytes - (this.#storedBytes - storedBytes) - reserveBytes(totalBytes);
    const allowed = this.#capacityBytes - this.#usedBytes;
    return Math.max(0, Math.min(onDisk, allowed) + spareBytes - this.#reservedBytes);
  }

  /**
   * Reserves room for a file.
   *
   * @returns ends the reservation, once: the file is stored and counted, or gone
   * @throws HoldfastError OUT_OF_SPACE
   */
  async reserve(fileBytes: number): Promise<(stored: boolean) => void> {
    const freeBytes = await this.freeBytes(fileBytes);
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
      if (!stored) return;
      this.#usedBytes += fileBytes;
      this.#storedBytes += fileBytes;
      this.#storedFiles += 1;
    };
  }

  /** @param spareBytes as for freeBytes */
  async capacity(spareBytes: number): Promise<Omit<Capacity, 'trashBytes'>> {
    const freeBytes = await this.freeBytes(Infinity, spareBytes);
    const usedBytes = this.#usedBytes;
    const totalBytes = usedBytes - spareBytes + this.#reservedBytes + freeBytes;
    return { totalBytes, usedBytes, freeBytes };
  }
}
