/**
 * How long the cluster has been served: monotonic time, added up over all starts of its tracker.
 *
 * The failure it answers: "restorable for 24 hours" by the wall clock ends early when the clock jumps (S11), by the
 * time since this start it begins anew with every restart, for ever. So the time that trackers have run is counted
 * in the metadata. What a crash loses of it, a minute at most, makes things stay longer. See docs/decisions/0009.
 */
import type { Clock } from '@holdfast/shared';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';

/** How much of it a crash may lose, which the trash then stays longer; a transaction for each. */
const noteIntervalMs = 60_000;
/** The longest between two ticks that counts: a machine that was suspended for a day served nobody meanwhile. */
const longestTickMs = 60_000;

export class ServedTime {
  readonly #clock: Clock;
  #servedMs: number;
  #tickedMs: number;

  /** @param servedMs what the starts before this one have noted */
  constructor(clock: Clock, servedMs: number) {
    this.#clock = clock;
    this.#servedMs = servedMs;
    this.#tickedMs = clock.monotonicMs();
  }

  /** In whole milliseconds; never decreases while the tracker runs. */
  get nowMs(): number {
    return Math.floor(this.#servedMs + this.#sinceTickMs());
  }

  #sinceTickMs(): number {
    return Math.min(this.#clock.monotonicMs() - this.#tickedMs, longestTickMs);
  }

  /** To be called about once a second. */
  tick(): void {
    this.#servedMs += this.#sinceTickMs();
    this.#tickedMs = this.#clock.monotonicMs();
  }

  /** Notes it as part of a transaction; returns it. */
  noteIn(tx: MetadataTransaction): number {
    const { nowMs } = this;
    tx.count('served_ms', Math.max(0, nowMs - tx.count('served_ms', 0)));
    return nowMs;
  }

  /** Notes it if too much would be lost by now, and if anything is in the trash that waits for it. */
  async note(store: MetadataStore): Promise<void> {
    const { served_ms, trashed_versions } = store.counters;
    if (trashed_versions === 0 || this.nowMs - served_ms < noteIntervalMs) return;
    await store.mutate(async (tx) => {
      this.noteIn(tx);
    });
  }
}
