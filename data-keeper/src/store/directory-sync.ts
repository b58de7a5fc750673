/**
 * Directory syncs, shared by all who wait for one. Many pieces that are renamed into one directory at a time
 * need one sync, but it must have started after the rename: whoever comes while one runs shares the next one.
 *
 * The directories stay open: opening and closing one for each sync is two thirds of its calls. Besides, a
 * handle hears of every failed write-back since it was opened, and a new one perhaps not. There is one for each
 * shard and two more, so their number is bounded.
 */
import type { FileSystem, OpenDirectory } from '@holdfast/shared';

interface Syncing {
  readonly running: Promise<void>;
  next: Promise<void> | undefined;
}

export class DirectorySync {
  readonly #fileSystem: FileSystem;
  readonly #byPath = new Map<string, Syncing>();
  readonly #handles = new Map<string, Promise<OpenDirectory>>();

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

  /** Lets go of a directory that was made anew: the handle is the old one's. */
  forget(path: string): void {
    this.#handles
      .get(path)
      ?.then((directory) => directory.close())
      .catch(() => undefined);
    this.#handles.delete(path);
  }

  /** Lets go of the directories. Not waited for: one whose disk hangs is closed when its sync is over. */
  close(): void {
    for (const opening of this.#handles.values()) {
      opening.then((directory) => directory.close()).catch(() => undefined);
    }
    this.#handles.clear();
  }

  #start(path: string): Promise<void> {
    const running = this.#open(path).then((directory) => directory.sync());
    const syncing: Syncing = { running, next: undefined };
    this.#byPath.set(path, syncing);
    const settle = (): void => {
      // With somebody waiting, the next sync has its own entry as soon as this one is over.
      if (this.#byPath.get(path) === syncing && !syncing.next) this.#byPath.delete(path);
    };
    running.then(settle, settle);
    return running;
  }

  #open(path: string): Promise<OpenDirectory> {
    const known = this.#handles.get(path);
    if (known) return known;
    const opening = this.#fileSystem.openDirectory(path);
    this.#handles.set(path, opening);
    // For want of open files, say: the next one may find one.
    opening.catch(() => this.#handles.delete(path));
    return opening;
  }
}
