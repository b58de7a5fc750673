/**
 * How many bytes a second repair may bring to each keeper: a bucket of tokens for each, filled by time and emptied by
 * the copies that are ordered.
 *
 * The failure it answers: a limit of copies at a time bounds what is under way, not what it takes from a disk and a
 * link; on fast ones two at a time are all there is. By target, so that repair after a loss gets faster with the
 * number of keepers that share it, and no disk and no link is asked for more than was agreed.
 *
 * Pure, by monotonic time. A copy may begin when there is anything in the bucket, and takes all that it needs, so one
 * that is larger than the bucket only makes the next one wait.
 */

/** The bucket holds what so many milliseconds bring: more than the pause between two steps of repair, or it overflows. */
const burstMs = 2_000;

interface Bucket {
  leftBytes: number;
  atMs: number;
}

export class RepairRate {
  readonly #bytesPerS: number;
  /** By keeper; only those that were taken from. */
  readonly #buckets = new Map<string, Bucket>();

  /** @param bytesPerS for each target; 0 for no limit */
  constructor(bytesPerS: number) {
    this.#bytesPerS = bytesPerS;
  }

  /** What copies to the keeper may still take now, in bytes; none may begin at 0 and below. */
  left(keeperId: string, nowMs: number): number {
    if (this.#bytesPerS === 0) return Infinity;
    const full = (this.#bytesPerS * burstMs) / 1_000;
    const bucket = this.#buckets.get(keeperId);
    if (!bucket) return full;
    const left = bucket.leftBytes + (this.#bytesPerS * (nowMs - bucket.atMs)) / 1_000;
    if (left < full) return left;
    this.#buckets.delete(keeperId);
    return full;
  }

  /** A copy of so many bytes to the keeper begins. */
  take(keeperId: string, sizeBytes: number, nowMs: number): void {
    if (this.#bytesPerS === 0) return;
    this.#buckets.set(keeperId, { leftBytes: this.left(keeperId, nowMs) - sizeBytes, atMs: nowMs });
  }
}
