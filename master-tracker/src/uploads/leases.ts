/**
 * How long upload sessions live: a lease each, renewed by every call, counted by the monotonic clock in memory.
 * Sessions themselves are durable; after a restart of the tracker each has its whole lease again.
 */
import { type Clock, HoldfastError } from '@holdfast/shared';

/**
 * Leases are looked at every second. After a longer gap the tracker itself was paused (a suspended machine, a hung
 * disk) and heard nobody: then every session has its whole lease again, as keepers have theirs.
 */
const maxLookGapMs = 10_000;

export class UploadLeases {
  /** In milliseconds. */
  readonly leaseMs: number;
  readonly #clock: Clock;
  readonly #max: number;
  readonly #renewedMs = new Map<string, number>();
  #lookedMs: number;

  constructor(clock: Clock, leaseMs: number, max: number, openUploadIds: Iterable<string> = []) {
    this.#clock = clock;
    this.leaseMs = leaseMs;
    this.#max = max;
    this.#lookedMs = clock.monotonicMs();
    for (const uploadId of openUploadIds) this.renew(uploadId);
  }

  get size(): number {
    return this.#renewedMs.size;
  }

  /** @throws HoldfastError LIMIT_EXCEEDED (retryable) when too many uploads are open */
  assertRoom(): void {
    if (this.#renewedMs.size < this.#max) return;
    throw new HoldfastError('LIMIT_EXCEEDED', `${this.#max} uploads are open`, {
      retryable: true,
      retryAfterMs: 1_000,
      remedy:
        'Commit or abort uploads that are not needed; those of clients that are gone end by themselves.',
    });
  }

  renew(uploadId: string): void {
    // Out and in again: the Map is then ordered by renewal, the longest silent first.
    this.#renewedMs.delete(uploadId);
    this.#renewedMs.set(uploadId, this.#clock.monotonicMs());
  }

  drop(uploadId: string): void {
    this.#renewedMs.delete(uploadId);
  }

  /** Up to `limit` sessions whose lease is over, the longest silent first. They stay listed until dropped. */
  expired(limit: number): string[] {
    const nowMs = this.#clock.monotonicMs();
    const wasPaused = nowMs - this.#lookedMs > maxLookGapMs;
    this.#lookedMs = nowMs;
    // Setting what is there keeps the order.
    if (wasPaused) for (const uploadId of this.#renewedMs.keys()) this.#renewedMs.set(uploadId, nowMs);
    const silentSinceMs = nowMs - this.leaseMs;
    const expired: string[] = [];
    for (const [uploadId, renewedMs] of this.#renewedMs) {
      if (renewedMs > silentSinceMs || expired.length >= limit) break;
      expired.push(uploadId);
    }
    return expired;
  }
}
