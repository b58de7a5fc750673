/**
 * Directory syncs, shared by all who wait for one. Many pieces that are renamed into one directory at a time
 * need one sync, but it must have started after the rename: whoever comes while one runs shares the next one.
 */
import type { FileSystem } from '@holdfast/shared';

interface Syncing {
  readonly running: Promise<void>;
  next: Promise<void> | undefined;
}

export class DirectorySync {
  readonly #fileSystem: FileSystem;
  readonly #byPath = new Map<string, Syncing>();

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem;
  }

  /** Resolves when a sync of the directory that started after this call is done. A failure is final. */
  sync(path: string): Promise<void> {
    const syncing = this.#byPath.get(path);
    if (!syncing) return this.#start(path);
    syncing.next ??= syncing.running.then(
      () => this.#start(path),
      () => this.#start(path),
    );
    return syncing.next;
  }

  #start(path: string): Promise<void> {
    const running = this.#fileSystem.syncDirectory(path);
    const syncing: Syncing = { running, next: undefined };
    this.#byPath.set(path, syncing);
    const settle = (): void => {
      // With somebody waiting, the next sync has its own entry as soon as this one is over.
      if (this.#byPath.get(path) === syncing && !syncing.next) this.#byPath.delete(path);
    };
    running.then(settle, settle);
    return running;
  }
}
