/**
 * The file system as a port: what a keeper's storage needs and no more. Production uses Node's; tests and the
 * simulation use one that forgets what was not synced, fills up, fails and lies.
 *
 * Every method rejects with an error that carries an errno `code`, as Node's do.
 */
import type { Bytes } from '../domain/bytes.js';

export interface FileSystem {
  /**
   * Opens a file. 'create' fails if it exists (O_EXCL); the others fail if it does not. 'medium' is 'read' of what is
   * on the medium rather than in the page cache, where the platform and the file system offer it: see
   * OpenFile.fromMedium.
   */
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  /** Reads a small file whole. */
  readFile(path: string): Promise<Buffer>;
  /** Moves within one file system, replacing the target. Durable only after syncDirectory on both parents. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Creates one directory; fails if it exists or the parent does not. */
  makeDirectory(path: string): Promise<void>;
  /** The names in a directory, in no order. */
  readDirectory(path: string): Promise<string[]>;
  /** Size and kind, or undefined if there is nothing at the path. */
  stat(path: string): Promise<FileStatus | undefined>;
  /** Makes the names in a directory durable. A failure is final: never retried (reliability of fsync). */
  syncDirectory(path: string): Promise<void>;
  /** Opens a directory that is synced again and again: a third of the calls of syncDirectory. */
  openDirectory(path: string): Promise<OpenDirectory>;
  /** Room on the file system that holds `path`. */
  space(path: string): Promise<FileSystemSpace>;
}

export type OpenMode = 'read' | 'medium' | 'readwrite' | 'create';

export interface FileStatus {
  readonly sizeBytes: number;
  readonly isDirectory: boolean;
  /** Which device holds it: differs between a mount point and what it hides. */
  readonly deviceId: number;
}

export interface FileSystemSpace {
  readonly totalBytes: number;
  /** What an unprivileged process may still use. */
  readonly freeBytes: number;
  /** How many more files can be made; Infinity where the file system has no such bound. */
  readonly freeFiles: number;
}

/** An open directory. Close it always. */
export interface OpenDirectory {
  /** As FileSystem.syncDirectory. */
  sync(): Promise<void>;
  /** Waits for a sync that runs. */
  close(): Promise<void>;
}

/** An open file. Close it always; a leaked one is a bug that tests look for. */
export interface OpenFile {
  /** True if what `read` gives never comes from the page cache. */
  readonly fromMedium?: boolean;
  /**
   * Reads up to `length` bytes at `position` into `target` from `targetOffset`. Resolves to the number read,
   * which is less than `length` only at the end of the file.
   */
  read(target: Uint8Array, targetOffset: number, length: number, position: number): Promise<number>;
  /** Writes all of `data` at `position`; a short write is continued, or rejects with ENOSPC. */
  write(data: Bytes, position: number): Promise<void>;
  /** Makes the contents and length durable. A failure is final: never retried (reliability of fsync). */
  syncData(): Promise<void>;
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}
