/**
 * Time that passes only when nothing is left to be done: it jumps to the next thing that was asked for. Hours take
 * seconds, and the order of all that happens follows from the seed alone.
 */
import { Violation } from './violation.js';

interface Event {
  readonly atMs: number;
  /** Of equals the one that was asked for first. */
  readonly number: number;
  /** undefined once it was taken back: the heap keeps the event until its time, and nothing of whoever asked for it. */
  fire: (() => void) | undefined;
}

/** Nothing that is waited for takes less: whoever waits in a loop until a moment has come gets there. */
const leastMs = 0.001;

export class VirtualTime {
  #nowMs = 0;
  #asked = 0;
  #passed = 0;
  /** A binary heap, the next event first. */
  readonly #events: Event[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many events have come to pass: the work that a history was. */
  get passed(): number {
    return this.#passed;
  }

  /** Has `fire` called in `delayMs`. The function that it returns takes it back. */
  after(delayMs: number, fire: () => void): () => void {
    const atMs = this.#nowMs + Math.max(leastMs, delayMs);
    const event: Event = { atMs, number: this.#asked++, fire };
    this.#push(event);
    return () => {
      event.fire = undefined;
    };
  }

  /**
   * Lets time pass until `isDone`. Resolves to whether it came to be within `limitMs`.
   *
   * @throws Error if nothing is left that could ever happen
   */
  async runUntil(isDone: () => boolean, limitMs: number): Promise<boolean> {
    const untilMs = this.#nowMs + limitMs;
    for (;;) {
      await settled();
      if (isDone()) return true;
      const next = this.#pop();
      if (!next) throw new Error('nothing is left to happen, and it is not done');
      if (next.atMs > untilMs) {
        this.#push(next);
        this.#nowMs = untilMs;
        return false;
      }
      this.#nowMs = next.atMs;
      this.#passed += 1;
      next.fire?.();
    }
  }

  /**
   * Lets time pass until `work` has ended, and resolves or rejects as it does.
   *
   * @throws Violation if that takes longer than `limitMs`
   */
  async finish<T>(what: string, work: Promise<T>, limitMs: number): Promise<T> {
    let hasEnded = false;
    const end = (): void => void (hasEnded = true);
    work.then(end, end);
    if (await this.runUntil(() => hasEnded, limitMs)) return work;
    throw new Violation(`${what} does not come to an end`);
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
      if (!first || first.fire) return first;
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

/**
 * Lets everything run that can run now: promises, and what was left to the next tick. Nothing of a history waits for
 * anything else (the store's groups wait on virtual time), so one turn of the event loop is enough.
 */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number);
}
