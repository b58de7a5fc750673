/**
 * The trash: pieces that the tracker gave up, kept a while so that a mistake can be undone by hand, and unlinked
 * oldest first. Time is counted from this start of the keeper: a restart keeps everything its full time again,
 * which errs on the side of keeping.
 */
import { type Clock, type FileSystem, errnoOf } from '@holdfast/shared';
import { join } from 'node:path';
import { diskError } from './disk-error.js';
import type { Space } from './space.js';

interface Trashed {
  readonly name: string;
  readonly fileBytes: number;
  readonly sinceMs: number;
}

export class Trash {
  readonly directory: string;
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #space: Space;
  readonly #ttlMs: number;
  /** By name, in order of arrival. */
  readonly #entries = new Map<string, Trashed>();
  #bytes = 0;

  constructor(directory: string, fileSystem: FileSystem, clock: Clock, space: Space, ttlMs: number) {
    this.directory = directory;
    this.#fileSystem = fileSystem;
    this.#clock = clock;
    this.#space = space;
    this.#ttlMs = ttlMs;
  }

  /** What makeRoom can give back in all. Asked before each piece that is written, so not summed up for that. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Notes a file that was moved here. Its bytes stay counted as used. */
  add(name: string, fileBytes: number): void {
    const replaced = this.#entries.get(name);
    // The same name is the same bytes: the file took the other one's place.
    if (replaced) {
      this.#space.count(-replaced.fileBytes);
      this.#bytes -= replaced.fileBytes;
    }
    this.#entries.delete(name);
    this.#entries.set(name, { name, fileBytes, sinceMs: this.#clock.monotonicMs() });
    this.#bytes += fileBytes;
  }

  /** Unlinks what has been here for its time, in milliseconds. */
  async empty(ttlMs = this.#ttlMs): Promise<void> {
    const deadlineMs = this.#clock.monotonicMs() - ttlMs;
    for (const entry of this.#entries.values()) {
      if (entry.sinceMs > deadlineMs) return;
      await this.#unlink(entry);
    }
  }

  /** Unlinks the oldest until the space has `neededBytes` free; nothing, if all of it would not be enough. */
  async makeRoom(neededBytes: number): Promise<void> {
    if (this.#entries.size === 0) return;
    if ((await this.#space.freeBytes(neededBytes, this.bytes)) < neededBytes) return;
    for (const entry of this.#entries.values()) {
      if ((await this.#space.freeBytes(neededBytes)) >= neededBytes) return;
      await this.#unlink(entry);
    }
  }

  async #unlink(entry: Trashed): Promise<void> {
    // Taken out first: a second emptying at the same time goes on with the next one.
    if (!this.#entries.delete(entry.name)) return;
    this.#bytes -= entry.fileBytes;
    try {
      await this.#fileSystem.unlink(join(this.directory, entry.name));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw diskError(error, 'cannot empty the trash');
    }
    this.#space.count(-entry.fileBytes);
  }
}
