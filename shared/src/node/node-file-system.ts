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
import type { FileSystem, OpenFile } from '../ports/file-system.js';
import { errnoOf } from '../errors/errno.js';

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

  async write(data: Uint8Array, position: number): Promise<void> {
    let total = 0;
    while (total < data.length) {
      const { bytesWritten } = await this.#handle.write(data, total, data.length - total, position + total);
      // A full disk shows first as a short count without an error, then as ENOSPC on the next call.
      if (bytesWritten === 0) {
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      }
      total += bytesWritten;
    }
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

export const nodeFileSystem: FileSystem = {
  async open(path, mode) {
    return new NodeOpenFile(await open(path, flags[mode]));
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
    // Windows cannot open a directory for syncing; NTFS journals names itself.
    if (process.platform === 'win32') return;
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
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
