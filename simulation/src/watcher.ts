/**
 * A client that only watches: from the changes that it is told it builds the namespace anew, which has to be the one that
 * is listed in the end.
 */
import { type EntryChange, type HoldfastClient, HoldfastError, hasCode } from '@holdfast/client';
import type { SimulatedProcess } from './simulated-process.js';
import { Violation } from './violation.js';

/** After a watch that ended, which lasts for a minute without a tracker. */
const againMs = 1_000;

export class Watcher {
  readonly #client: HoldfastClient;
  readonly #process: SimulatedProcess;
  readonly #entries = new Map<string, 'file' | 'directory'>();
  #cursor = '';

  constructor(client: HoldfastClient, process: SimulatedProcess) {
    this.#client = client;
    this.#process = process;
  }

  /** Begins where nothing has changed yet; the rest goes on by itself, for ever. */
  async start(onViolation: (error: unknown) => void): Promise<void> {
    this.#cursor = await this.#client.watchCursor();
    void this.#follow().catch(onViolation);
  }

  async #follow(): Promise<void> {
    for (;;) {
      try {
        const onCursor = (cursor: string): void => void (this.#cursor = cursor);
        for await (const change of this.#client.watch('/', { cursor: this.#cursor, onCursor })) {
          this.#apply(change);
          this.#cursor = change.cursor;
        }
      } catch (error) {
        if (!HoldfastError.is(error) || hasCode(error, 'INTERNAL', 'INVALID_ARGUMENT', 'CURSOR_EXPIRED')) {
          throw new Violation(`a watch ended with ${String(error)}`);
        }
        await this.#process.clock.sleep(againMs);
      }
    }
  }

  /** What is different from what is listed: nothing, once it has been told everything. */
  async difference(): Promise<string | undefined> {
    const left = new Map(this.#entries);
    for await (const { path, type } of this.#client.list('/', { depth: Infinity })) {
      if (left.get(path) !== type) return `${path}, a ${type}, was not told`;
      left.delete(path);
    }
    const [more] = left.keys();
    return more === undefined ? undefined : `${more} is told and not there`;
  }

  #apply({ kind, path, oldPath, type }: EntryChange): void {
    if (kind === 'removed') this.#take(path);
    else if (kind === 'moved' && oldPath !== undefined) {
      const moved = this.#take(oldPath);
      this.#take(path);
      for (const [below, what] of moved) this.#entries.set(path + below, what);
    } else {
      if (kind === 'created' && this.#entries.has(path)) throw new Violation(`${path} is made a second time`);
      if (kind === 'replaced' && !this.#entries.has(path))
        throw new Violation(`${path} is replaced and was not there`);
      this.#entries.set(path, type);
    }
  }

  /** Takes away what is at and below a path, and says what it was. */
  #take(path: string): [below: string, type: 'file' | 'directory'][] {
    const taken = [...this.#entries].filter(([each]) => each === path || each.startsWith(`${path}/`));
    for (const [each] of taken) this.#entries.delete(each);
    return taken.map(([each, type]) => [each.slice(path.length), type]);
  }
}
