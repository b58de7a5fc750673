/**
 * Work on items of many sources: each source's one after the other, and what comes while some are being worked on all
 * together next.
 *
 * The failure it answers: small copies end by the hundred in a second, each with a call of its own, and a transaction
 * for each costs the tracker more than the rest of the copy.
 *
 * Who calls waits for the work that has its items, and hears when it fails. What waits is what callers wait for.
 */
interface Turn<Item> {
  readonly items: Item[];
  readonly done: Promise<void>;
}

export class Gathered<Item> {
  /** By source: the work that runs, and the one that is to follow it. */
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Turn<Item>>();

  /** Resolves when `work` is done with these items and those that came with them. */
  add(
    source: string,
    items: readonly Item[],
    work: (items: readonly Item[]) => Promise<void>,
  ): Promise<void> {
    const next = this.#next.get(source);
    if (next) {
      next.items.push(...items);
      return next.done;
    }
    const running = this.#running.get(source);
    if (!running) return this.#start(source, items, work);
    const gathering = [...items];
    const start = (): Promise<void> => {
      this.#next.delete(source);
      return this.#start(source, gathering, work);
    };
    const done = running.then(start, start);
    this.#next.set(source, { items: gathering, done });
    return done;
  }

  #start(
    source: string,
    items: readonly Item[],
    work: (items: readonly Item[]) => Promise<void>,
  ): Promise<void> {
    const running = work(items).finally(() => {
      if (!this.#next.has(source)) this.#running.delete(source);
    });
    this.#running.set(source, running);
    return running;
  }
}
