/** What many make, handed to one who takes it, in the order in which it was made. */

export class Handover<T> {
  readonly #room: number;
  #waiting: T[] = [];
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #onNews = (): void => undefined;
  #onRoom = (): void => undefined;

  /** @param room how many may wait to be taken before `hasRoom` waits */
  constructor(room: number) {
    this.#room = room;
  }

  give(item: T): void {
    this.#waiting.push(item);
    this.#onNews();
  }

  /** Nothing more comes. */
  end(): void {
    this.#ended = true;
    this.#onNews();
  }

  /** Nothing more comes, and why. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.end();
  }

  /** Resolves when few enough wait: for makers that a slow taker is to hold up. One call at a time. */
  async hasRoom(): Promise<void> {
    while (this.#waiting.length > this.#room) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
  }

  /** All that is given, to the end. @throws what `fail` was called with, after what was given before */
  async *taken(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const items = this.#waiting;
      this.#waiting = [];
      this.#onRoom();
      yield* items;
      if (this.#waiting.length > 0) continue;
      if (this.#failure) throw this.#failure.error;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#onNews = resolve;
      });
    }
  }
}
