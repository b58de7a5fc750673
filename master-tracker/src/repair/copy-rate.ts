/**
 * How fast copies arrive: bytes a second over the last moments.
 *
 * The failure it answers: an average since the beginning promises an end that a stalled network never brings, and
 * the rate of the last second jumps with every chunk.
 */

/** Long enough for several chunks of the default size at 10 MB/s, short enough to notice that nothing comes. */
const windowMs = 10_000;
/** How finely the window moves; bounds the memory to ten sums. */
const slotMs = 1_000;

export class CopyRate {
  /** By the number of its slot on the monotonic clock. */
  readonly #slots = new Map<number, number>();

  /** Notes a copy that has become durable. */
  note(nowMs: number, bytes: number): void {
    this.#forget(nowMs);
    const slot = Math.floor(nowMs / slotMs);
    this.#slots.set(slot, (this.#slots.get(slot) ?? 0) + bytes);
  }

  /** Over the last ten seconds, or since the first copy if that is less long ago. */
  bytesPerSecond(nowMs: number): number {
    this.#forget(nowMs);
    let bytes = 0;
    let firstMs = nowMs;
    for (const [slot, sum] of this.#slots) {
      bytes += sum;
      firstMs = Math.min(firstMs, slot * slotMs);
    }
    return Math.round((bytes * 1_000) / Math.max(slotMs, nowMs - firstMs));
  }

  #forget(nowMs: number): void {
    for (const slot of this.#slots.keys()) if (slot * slotMs <= nowMs - windowMs) this.#slots.delete(slot);
  }
}
