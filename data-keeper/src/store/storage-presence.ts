/**
 * Whether the storage is there at all.
 *
 * The failure it answers: a disk that is unmounted under a running keeper leaves an empty directory behind. Every
 * piece then looks lost, and what is written fills the disk that the mount point is on. So before a missing name
 * counts for anything, the directory is looked at: it is the keeper's while IDENTITY and the folders are there, on
 * the devices that they were on.
 */
import { type FileSystem, HoldfastError } from '@holdfast/shared';
import { join } from 'node:path';
import { folders, names } from './data-directory.js';

export class StoragePresence {
  readonly #fileSystem: FileSystem;
  readonly #dataDir: string;
  readonly #devices: string;
  #missing: HoldfastError | undefined;
  /** The look that runs, and the one after it for those who asked since. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(fileSystem: FileSystem, dataDir: string, devices: string) {
    this.#fileSystem = fileSystem;
    this.#dataDir = dataDir;
    this.#devices = devices;
  }

  static async begin(fileSystem: FileSystem, dataDir: string): Promise<StoragePresence> {
    return new StoragePresence(fileSystem, dataDir, await devicesOf(fileSystem, dataDir));
  }

  /** Why it is not there, as of the last look; undefined if it was. */
  get missing(): HoldfastError | undefined {
    return this.#missing;
  }

  /**
   * Looks after this call, once for all who ask meanwhile: every copy that arrives finds a name missing.
   *
   * @throws HoldfastError UNAVAILABLE if the storage is not there; what the disk says if it says nothing else
   */
  check(): Promise<void> {
    if (this.#next) return this.#next;
    if (!this.#running) return this.#start();
    const start = (): Promise<void> => {
      this.#next = undefined;
      return this.#start();
    };
    this.#next = this.#running.then(start, start);
    return this.#next;
  }

  #start(): Promise<void> {
    const running = this.#look().finally(() => {
      if (this.#running === running && !this.#next) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #look(): Promise<void> {
    const isThere = (await devicesOf(this.#fileSystem, this.#dataDir)) === this.#devices;
    this.#missing = isThere
      ? undefined
      : new HoldfastError('UNAVAILABLE', "this keeper's data directory is not there", {
          remedy: "Mount the keeper's disk again; the keeper goes on by itself.",
        });
    if (this.#missing) throw this.#missing;
  }
}

/** Which devices hold IDENTITY and the folders, as far as they are there. */
async function devicesOf(fileSystem: FileSystem, dataDir: string): Promise<string> {
  const found: string[] = [];
  // One after the other: in a disk that hangs, each holds a thread.
  for (const name of [names.identity, ...folders]) {
    const status = await fileSystem.stat(join(dataDir, name));
    found.push(String(status?.deviceId ?? 'none'));
  }
  return found.join(' ');
}
