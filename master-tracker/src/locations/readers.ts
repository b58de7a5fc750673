/**
 * Which versions somebody may be reading: those whose places were asked for so lately that a reader may go on from the
 * answer, or ask for more.
 *
 * The failure it answers: where room is short, what was deleted has to go at once, but nobody who reads it may be cut.
 * In memory, because after a restart of the tracker every version that was there before counts as read for as long;
 * and bounded, because what there is no room to remember counts as read, too.
 */
import type { Clock } from '@holdfast/shared';

/** About 10 MB. Clusters that read more different versions within half an hour wait for the grace of reclamation. */
const maxRemembered = 200_000;

export interface ReadersOptions {
  readonly clock: Clock;
  /** The last version that there was when the tracker started. */
  readonly lastVersion: number;
  /** How long an answer keeps a version: its tokens' lifetime, and then some for asking again. */
  readonly holdMs: number;
  /** Default: 200,000 versions. */
  readonly maxRemembered?: number;
}

export class Readers {
  readonly #clock: Clock;
  readonly #holdMs: number;
  readonly #maxRemembered: number;
  /** By version, when it was asked for last; the least lately asked for first. */
  readonly #askedMs = new Map<number, number>();
  /** What is not known: versions up to this one may have been asked for as late as then. */
  #forgotten: { readonly throughVersion: number; readonly atMs: number };

  constructor({ clock, lastVersion, holdMs, maxRemembered: max = maxRemembered }: ReadersOptions) {
    this.#clock = clock;
    this.#holdMs = holdMs;
    this.#maxRemembered = max;
    this.#forgotten = { throughVersion: lastVersion, atMs: clock.monotonicMs() };
  }

  /** Notes that somebody was told where a version is. */
  note(version: number): void {
    this.#askedMs.delete(version);
    this.#askedMs.set(version, this.#clock.monotonicMs());
    // Two at a time, so that those whose time is over go although nobody looks for them.
    for (const [oldest, atMs] of [...firstOf(this.#askedMs, 2)]) {
      if (this.#isHeld(atMs)) {
        if (this.#askedMs.size <= this.#maxRemembered) return;
        const { throughVersion } = this.#forgotten;
        this.#forgotten = { throughVersion: Math.max(throughVersion, oldest), atMs };
      }
      this.#askedMs.delete(oldest);
    }
  }

  mayBeRead(version: number): boolean {
    const { throughVersion, atMs } = this.#forgotten;
    if (version <= throughVersion && this.#isHeld(atMs)) return true;
    const askedMs = this.#askedMs.get(version);
    return askedMs !== undefined && this.#isHeld(askedMs);
  }

  #isHeld(sinceMs: number): boolean {
    return this.#clock.monotonicMs() - sinceMs < this.#holdMs;
  }
}

function* firstOf<K, V>(map: ReadonlyMap<K, V>, count: number): Generator<[K, V]> {
  let left = count;
  for (const entry of map) {
    if (left-- === 0) return;
    yield entry;
  }
}
