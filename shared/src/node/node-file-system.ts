/** The machine's file system behind the port. */
import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises';
import type { Bytes } from '../domain/bytes.js';
import type { FileSystem, OpenDirectory, OpenFile } from '../ports/file-system.js';
import { errnoOf } from '../errors/errno.js';
import { openDirect } from './direct-file.js';
import { writeAll } from './write-all.js';

const flags = { read: 'r', readwrite: 'r+', create: 'wx+' } as const;

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

/** Windows cannot open a directory for syncing; NTFS journals names itself. */
const journalsNames = process.platform === 'win32';

async function openDirectory(path: string): Promise<OpenDirectory> {
  if (journalsNames) return { sync: () => Promise.resolve(), close: () => Promise.resolve() };
  const handle = await open(path, 'r');
  return { sync: () => handle.sync(), close: () => handle.close() };
}

export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    if (mode !== 'medium') return new NodeOpenFile(await open(path, flags[mode]));
    return (await openDirect(path)) ?? new NodeOpenFile(await open(path, flags.read));
  },
  readFile: (path) => readFile(path),
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
      if (errnoOf(error) === 'ENOENT') return undefined;
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
