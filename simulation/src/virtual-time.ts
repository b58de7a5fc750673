/**
 * Time that passes only when nothing is left to be done: it jumps to the next thing that was asked for. Hours take
 * seconds, and the order of all that happens follows from the seed alone.
 */

interface Event {
  readonly atMs: number;
  /** Of equals the one that was asked for first. */
  readonly number: number;
  readonly fire: () => void;
  cancelled: boolean;
}

/** Nothing that is waited for takes less: whoever waits in a loop until a moment has come gets there. */
const leastMs = 0.001;
/** What a driver or a queue left to the event loop needs up to two turns; see `#settle`. */
const turnsToSettle = 2;

export class VirtualTime {
  #nowMs = 0;
  #asked = 0;
  /** How much was done, by anybody: while it grows, the present is not over. */
  #activity = 0;
  /** A binary heap, the next event first. */
  readonly #events: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many events have come to pass or been asked for: the work that a history was. */
  get activity(): number {
    return this.#activity;
  }

  /** Has `fire` called in `delayMs`. The function that it returns takes it back. */
  after(delayMs: number, fire: () => void): () => void {
    this.note();
    const event = {
      atMs: this.#nowMs + Math.max(leastMs, delayMs),
      number: this.#asked++,
      fire,
      cancelled: false,
    };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  /** To be called by all that happens beside time, such as a statement of a database. */
  note(): void {
    this.#activity += 1;
  }

  /**
   * Lets time pass until `isDone`. Resolves to whether it came to be within `limitMs`.
   *
   * @throws Error if nothing is left that could ever happen
   */
  async runUntil(isDone: () => boolean, limitMs: number): Promise<boolean> {
    const untilMs = this.#nowMs + limitMs;
    for (;;) {
      await this.#settle();
      if (isDone()) return true;
      const next = this.#pop();
      if (!next) throw new Error('nothing is left to happen, and it is not done');
      if (next.atMs > untilMs) {
        this.#push(next);
        this.#nowMs = untilMs;
        return false;
      }
      this.#nowMs = next.atMs;
      this.note();
      next.fire();
    }
  }

  /** Lets everything run that can run now: promises at once, and what was left to a turn of the event loop. */
  async #settle(): Promise<void> {
    for (let seen = -1; seen !== this.#activity;) {
      seen = this.#activity;
      for (let turn = 0; turn < turnsToSettle; turn += 1) {
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
  }

  #push(event: Event): void {
    const heap = this.#events;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (!above || !isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    for (;;) {
      const first = this.#takeFirst();
      if (!first?.cancelled) return first;
    }
  }

  #takeFirst(): Event | undefined {
    const heap = this.#events;
    const first = heap[0];
    const last = heap.pop();
    if (!last || first === last) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      if (!below) break;
      const other = heap[child + 1];
      if (other && isBefore(other, below)) {
        child += 1;
        below = other;
      }
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number);
}
