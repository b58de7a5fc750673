/** A disk that can be full: what a keeper reads is there, and nothing more fits. */
import type { FileSystem, OpenFile } from '@holdfast/shared';

export interface FillableFileSystem {
  readonly fileSystem: FileSystem;
  setFull(full: boolean): void;
}

export function fillable(inner: FileSystem): FillableFileSystem {
  let isFull = false;
  const refuse = (): void => {
    if (isFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  };
  const withRoom = (file: OpenFile): OpenFile => ({
    ...(file.fromMedium !== undefined && { fromMedium: file.fromMedium }),
    read: (...args) => file.read(...args),
    write: async (...args) => {
      refuse();
      return file.write(...args);
    },
    syncData: () => file.syncData(),
    sizeBytes: () => file.sizeBytes(),
    close: () => file.close(),
  });
  const fileSystem: FileSystem = {
    open: async (path, mode) => withRoom(await inner.open(path, mode)),
    readFile: (path) => inner.readFile(path),
    rename: (from, to) => inner.rename(from, to),
    unlink: (path) => inner.unlink(path),
    makeDirectory: async (path) => {
      refuse();
      return inner.makeDirectory(path);
    },
    readDirectory: (path) => inner.readDirectory(path),
    stat: (path) => inner.stat(path),
    syncDirectory: (path) => inner.syncDirectory(path),
    openDirectory: (path) => inner.openDirectory(path),
    space: async (path) => {
      const space = await inner.space(path);
      return isFull ? { ...space, freeBytes: 0 } : space;
    },
  };
  return {
    fileSystem,
    setFull: (full) => {
      isFull = full;
    },
  };
}
