/**
 * A disk that has less room than it says, as thin provisioning and some cheap ones have: while it is exhausted, writes
 * are taken, the syncs after them fail, and the kernel forgets that the bytes are not on the medium. ext4 on a loop
 * device over a file in a tmpfs that is too small for it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LoopDisk, missingForPowerCuts } from './loop-disk.js';

const run = promisify(execFile);
const MiB = 1024 ** 2;
const sizeBytes = 96 * MiB;
/** Enough for it all and for copies of it, as long as nothing else is there. */
const realBytes = 512 * MiB;

/** What is missing on this machine for one; undefined if nothing is. */
export function missingForThinDisks(): string | undefined {
  const missing = missingForPowerCuts();
  if (missing !== undefined) return missing;
  try {
    accessSync('/sys/dev/block', constants.W_OK);
    return undefined;
  } catch {
    return 'leave to write to /sys';
  }
}

export class ThinDisk {
  readonly disk: LoopDisk;
  readonly #image: string;
  readonly #ballast: FileHandle;
  readonly #janitor: ChildProcess;

  private constructor(disk: LoopDisk, image: string, ballast: FileHandle, janitor: ChildProcess) {
    this.disk = disk;
    this.#image = image;
    this.#ballast = ballast;
    this.#janitor = janitor;
  }

  /** Makes one and mounts it at `path`, page by page, so that it lies about none; its bytes are in memory, mounted at `store`. */
  static async make(path: string, store: string): Promise<ThinDisk> {
    await mkdir(store, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', `size=${realBytes}`, 'tmpfs', store]);
    // As the one of LoopDisk: however this process ends.
    const janitor = spawn('sh', ['-c', 'cat; umount -l "$1"', 'sh', store], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    const image = join(store, 'disk.img');
    const disk = await LoopDisk.make(path, image, sizeBytes, true);
    return new ThinDisk(disk, image, await open(join(store, 'ballast'), 'w'), janitor);
  }

  /** From now on no new block has room. */
  async exhaust(): Promise<void> {
    // What the file system has written nothing to yet, such as its journal, has room; what it knows to be free has none.
    await run('fallocate', ['-l', String(sizeBytes), this.#image]);
    await run('fstrim', [this.disk.path]);
    try {
      for (const bytes = Buffer.alloc(64 * 1024, 1); ;) await this.#ballast.write(bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  async replenish(): Promise<void> {
    await this.#ballast.truncate(0);
  }

  async remove(): Promise<void> {
    await this.#ballast.close();
    await this.disk.remove();
    const ended = new Promise((resolve) => this.#janitor.once('close', resolve));
    this.#janitor.stdin?.end();
    await ended;
  }
}
