/** The machine's file system behind the port. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises';
import type { Bytes } from '../domain/bytes.js';
import type { FileSystem, OpenDirectory, OpenFile } from '../ports/file-system.js';
import { errnoOf } from '../errors/errno.js';
import { openDirect } from './direct-file.js';
import { writeAll } from './write-all.js';

/**
 * A pipe in the place of a file would have its reader wait for a writer, and keep one of the few threads of the process
 * for it, for ever. Of a file this says nothing. Where a system does not know it, it is undefined: no flag.
 */
const { O_RDONLY, O_NONBLOCK = 0, O_DIRECTORY = 0 } = constants;
const flags = { read: O_RDONLY | O_NONBLOCK, readwrite: 'r+', create: 'wx+' } as const;

class NodeOpenFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number> {
    let total = 0;
    while (total < length) {
      const { bytesRead } = await this.#handle.read(
        target,
        targetOffset + total,
        length - total,
        position + total,
      );
      if (bytesRead === 0) break;
      total += bytesRead;
    }
    return total;
  }

  async write(data: Bytes, position: number): Promise<void> {
    await writeAll(this.#handle, data, position);
  }

  syncData(): Promise<void> {
    return this.#handle.datasync();
  }

  async sizeBytes(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** As systems that have a number for it say it. */
function notAFile(path: string): Error {
  return Object.assign(new Error(`EFTYPE: not a file, open '${path}'`), { code: 'EFTYPE' });
}

/** Windows cannot open a directory for syncing; NTFS journals names itself. */
const journalsNames = process.platform === 'win32';

async function openDirectory(path: string): Promise<OpenDirectory> {
  if (journalsNames) return { sync: () => Promise.resolve(), close: () => Promise.resolve() };
  const handle = await open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  return { sync: () => handle.sync(), close: () => handle.close() };
}

export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    if (mode !== 'medium') return new NodeOpenFile(await open(path, flags[mode]));
    return (await openDirect(path)) ?? new NodeOpenFile(await open(path, flags.read));
  },
  async readFile(path) {
    const handle = await open(path, flags.read);
    try {
      // A device may have no end.
      if (!(await handle.stat()).isFile()) throw notAFile(path);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  },
  rename: (from, to) => rename(from, to),
  unlink: (path) => unlink(path),
  makeDirectory: async (path) => {
    await mkdir(path);
  },
  readDirectory: (path) => readdir(path),
  async stat(path) {
    try {
      const status = await stat(path);
      return { sizeBytes: status.size, isDirectory: status.isDirectory(), deviceId: status.dev };
    } catch (error) {
      // Through a link that leads to itself nothing is there either.
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ELOOP') return undefined;
      throw error;
    }
  },
  async syncDirectory(path) {
    const directory = await openDirectory(path);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  openDirectory,
  async space(path) {
    const { bsize, blocks, bavail, files, ffree } = await statfs(path);
    return {
      totalBytes: bsize * blocks,
      freeBytes: bsize * bavail,
      // Btrfs and others make inodes as needed and report none at all.
      freeFiles: files === 0 ? Infinity : ffree,
    };
  },
};
