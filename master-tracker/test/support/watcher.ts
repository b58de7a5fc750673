/** Somebody who watches: collects what is told, and can stand still. */
import { writeCursor, readCursor } from '../../src/changes/position.js';
import type { Told } from '../../src/changes/watches.js';
import type { TestTracker } from './fixture.js';

interface WatcherOptions {
  readonly path?: string;
  readonly cursor?: string;
  readonly shallow?: boolean;
}

export class Watcher {
  readonly told: Told[] = [];
  /** Set to make it take nothing more until it resolves. */
  standStill: Promise<void> | undefined;
  /** What the watch came to; undefined while it runs. */
  failure: unknown;
  readonly ended: Promise<void>;
  readonly #abort = new AbortController();
  #onTold = (): void => undefined;

  constructor(tracker: TestTracker, { path = '/', cursor, shallow = false }: WatcherOptions = {}) {
    const from = cursor === undefined ? undefined : readCursor(cursor);
    const tell = async (told: Told): Promise<void> => {
      this.told.push(told);
      this.#onTold();
      await this.standStill;
    };
    this.ended = tracker.core.watches.run({ path, shallow, from }, tell, this.#abort.signal).then(
      () => undefined,
      (error: unknown) => {
        this.failure = error;
        this.#onTold();
      },
    );
  }

  /** After the last message. */
  get cursor(): string {
    return writeCursor(this.told.at(-1)!.position);
  }

  /** The changes so far: "created /a", "moved /a /b". */
  get changes(): string[] {
    return this.told.flatMap(({ change }) => {
      if (!change) return [];
      const { kind, path, oldPath } = change;
      return [oldPath === undefined ? `${kind} ${path}` : `${kind} ${oldPath} ${path}`];
    });
  }

  /** Resolves when it has been told what `isThere` looks for; rejects if the watch ends before. */
  async until(isThere: (watcher: this) => boolean): Promise<this> {
    while (!isThere(this)) {
      if (this.failure !== undefined) throw this.failure as Error;
      await new Promise<void>((resolve) => (this.#onTold = resolve));
    }
    return this;
  }

  /** Resolves when it runs. */
  begun(): Promise<this> {
    return this.until(({ told }) => told.length > 0);
  }

  /** Resolves when it has been told of a change that begins so: a mark that a test set. */
  mark(change: string): Promise<this> {
    return this.until(({ changes }) => changes.at(-1) === change);
  }

  async leave(): Promise<void> {
    this.#abort.abort(new Error('the caller left'));
    await this.ended;
  }
}
