/**
 * A file system that can be taken away: what `kill()` needs to stop a keeper inside a process that lives on. As
 * after SIGKILL nothing more reaches the disk, not even the tidying up of temp files; only handles are closed,
 * which the kernel would do.
 */
import type { FileSystem, OpenFile } from '@holdfast/shared';

export interface CuttableFileSystem {
  readonly fileSystem: FileSystem;
  /** From now on every operation but `close` fails with EIO. */
  cut(): void;
}

export function cuttable(inner: FileSystem): CuttableFileSystem {
  let isCut = false;
  const guarded =
    <A extends unknown[], R>(operation: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (isCut) throw Object.assign(new Error('EIO: the keeper was killed'), { code: 'EIO' });
      return operation(...args);
    };
  const guardFile = (file: OpenFile): OpenFile => ({
    ...(file.fromMedium !== undefined && { fromMedium: file.fromMedium }),
    read: guarded((...args) => file.read(...args)),
    write: guarded((...args) => file.write(...args)),
    syncData: guarded(() => file.syncData()),
    sizeBytes: guarded(() => file.sizeBytes()),
    close: () => file.close(),
  });
  const fileSystem: FileSystem = {
    open: guarded(async (...args) => guardFile(await inner.open(...args))),
    readFile: guarded((path) => inner.readFile(path)),
    rename: guarded((from, to) => inner.rename(from, to)),
    unlink: guarded((path) => inner.unlink(path)),
    makeDirectory: guarded((path) => inner.makeDirectory(path)),
    readDirectory: guarded((path) => inner.readDirectory(path)),
    stat: guarded((path) => inner.stat(path)),
    syncDirectory: guarded((path) => inner.syncDirectory(path)),
    openDirectory: guarded(async (path) => {
      const directory = await inner.openDirectory(path);
      return { sync: guarded(() => directory.sync()), close: () => directory.close() };
    }),
    space: guarded((path) => inner.space(path)),
  };
  return {
    fileSystem,
    cut: () => {
      isCut = true;
    },
  };
}
