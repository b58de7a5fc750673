/**
 * A program that only watches, from the first phase to the last: from the changes that it is told it builds the namespace
 * anew, which has to be the one that is listed whenever nothing happens.
 */
import { type EntryChange, type HoldfastClient, HoldfastError, hasCode } from '@holdfast/client';
import { setTimeout as sleep } from 'node:timers/promises';
import { Violation } from '../../support/ledger.js';

/** After a watch that ended, which lasts for a minute without a tracker. */
const againMs = 1_000;

export class Watcher {
  readonly #client: HoldfastClient;
  readonly #entries = new Map<string, EntryChange['type']>();
  readonly #over = new AbortController();
  #cursor = '';
  #failure: { readonly error: Error } | undefined;

  constructor(client: HoldfastClient) {
    this.#client = client;
  }

  /** Begins where the namespace is empty; the rest goes on by itself, until `stop`. */
  async start(): Promise<void> {
    this.#cursor = await this.#client.watchCursor();
    void this.#follow().catch((error: unknown) => (this.#failure = { error: error as Error }));
  }

  stop(): void {
    this.#over.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      try {
        const onCursor = (cursor: string): void => void (this.#cursor = cursor);
        for await (const change of this.#client.watch('/', { cursor: this.#cursor, onCursor, signal })) {
          this.#apply(change);
          this.#cursor = change.cursor;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!HoldfastError.is(error) || hasCode(error, 'INTERNAL', 'INVALID_ARGUMENT', 'CURSOR_EXPIRED')) {
          throw new Violation(`a watch ended with ${String(error)}`);
        }
        await sleep(againMs);
      }
    }
  }

  /** @throws Error that says what is listed and was not told, or the other way round */
  async assertTold(): Promise<boolean> {
    if (this.#failure) throw this.#failure.error;
    const left = new Map(this.#entries);
    for await (const { path, type } of this.#client.list('/', { depth: Infinity })) {
      if (left.get(path) !== type) throw new Error(`${path}, a ${type}, was not told`);
      left.delete(path);
    }
    for (const path of left.keys()) throw new Error(`${path} is told and not there`);
    return true;
  }

  #apply({ kind, path, oldPath, type }: EntryChange): void {
    if (kind === 'removed') this.#take(path);
    else if (kind === 'moved' && oldPath !== undefined) {
      const moved = this.#take(oldPath);
      this.#take(path);
      for (const [below, what] of moved) this.#entries.set(path + below, what);
    } else {
      if ((kind === 'replaced') !== this.#entries.has(path)) {
        throw new Violation(
          `${path} is told to be ${kind}, and was ${kind === 'replaced' ? 'not there' : 'there'}`,
        );
      }
      this.#entries.set(path, type);
    }
  }

  /** Takes away what is at and below a path, and says what it was. */
  #take(path: string): [below: string, type: EntryChange['type']][] {
    const taken = [...this.#entries].filter(([each]) => each === path || each.startsWith(`${path}/`));
    for (const [each] of taken) this.#entries.delete(each);
    return taken.map(([each, type]) => [each.slice(path.length), type]);
  }
}
