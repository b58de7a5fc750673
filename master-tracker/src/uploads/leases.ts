/**
 * How long upload sessions live: a lease each, renewed by every call, counted by the monotonic clock in memory.
 * Sessions themselves are durable, with how long their lease is; after a restart of the tracker each has its whole
 * lease again.
 */
import { type Clock, HoldfastError } from '@holdfast/shared';
import type { TrackerSettings } from '../settings.js';

/**
 * Leases are looked at every second. After a longer gap the tracker itself was paused (a suspended machine, a hung
 * disk) and heard nobody: then every session has its whole lease again, as keepers have theirs.
 */
const maxLookGapMs = 10_000;

/** Uploads that nobody goes on with must leave places for others: beyond this part of all, no lease is a long one. */
const longLeaseFraction = 0.5;

interface Lease {
  readonly renewedMs: number;
  readonly leaseMs: number;
}

export class UploadLeases {
  readonly #clock: Clock;
  readonly #settings: Pick<TrackerSettings, 'uploadLeaseMs' | 'maxUploadLeaseMs' | 'maxOpenUploads'>;
  readonly #leases = new Map<string, Lease>();
  #lookedMs: number;

  constructor(
    clock: Clock,
    settings: Pick<TrackerSettings, 'uploadLeaseMs' | 'maxUploadLeaseMs' | 'maxOpenUploads'>,
  ) {
    this.#clock = clock;
    this.#settings = settings;
    this.#lookedMs = clock.monotonicMs();
  }

  get size(): number {
    return this.#leases.size;
  }

  /** @throws HoldfastError LIMIT_EXCEEDED (retryable) when too many uploads are open */
  assertRoom(): void {
    const max = this.#settings.maxOpenUploads;
    if (this.#leases.size < max) return;
    throw new HoldfastError('LIMIT_EXCEEDED', `${max} uploads are open`, {
      retryable: true,
      retryAfterMs: 1_000,
      remedy:
        'Commit or abort uploads that are not needed; those of clients that are gone end by themselves.',
    });
  }

  /** What a session has from now on that asks for `askedMs`; undefined if that is no longer than `currentMs`. */
  grant(askedMs: number, currentMs = this.#settings.uploadLeaseMs): number | undefined {
    const { maxUploadLeaseMs, maxOpenUploads } = this.#settings;
    if (this.#leases.size >= maxOpenUploads * longLeaseFraction) return undefined;
    const leaseMs = Math.min(askedMs, maxUploadLeaseMs);
    return leaseMs > currentMs ? leaseMs : undefined;
  }

  /** In milliseconds; the usual one for a session that is not open. */
  leaseMs(uploadId: string): number {
    return this.#leases.get(uploadId)?.leaseMs ?? this.#settings.uploadLeaseMs;
  }

  /**
   * @param leaseMs from now on, as it was granted, if need be by an earlier start of the tracker with a higher bound;
   *   undefined for the one that it has, or of a session that is not known yet the usual one
   */
  renew(uploadId: string, leaseMs?: number): void {
    const { uploadLeaseMs, maxUploadLeaseMs } = this.#settings;
    const granted = leaseMs ?? this.leaseMs(uploadId);
    const known = Math.max(uploadLeaseMs, Math.min(granted, maxUploadLeaseMs));
    // Out and in again: the Map is then ordered by renewal, the longest silent first.
    this.#leases.delete(uploadId);
    this.#leases.set(uploadId, { renewedMs: this.#clock.monotonicMs(), leaseMs: known });
  }

  drop(uploadId: string): void {
    this.#leases.delete(uploadId);
  }

  /** Up to `limit` sessions whose lease is over, the longest silent first. They stay listed until dropped. */
  expired(limit: number): string[] {
    const nowMs = this.#clock.monotonicMs();
    const wasPaused = nowMs - this.#lookedMs > maxLookGapMs;
    this.#lookedMs = nowMs;
    const expired: string[] = [];
    // All of them, as leases differ: some 20,000 at most, in a millisecond.
    for (const [uploadId, { renewedMs, leaseMs }] of this.#leases) {
      // Setting what is there keeps the order.
      if (wasPaused) this.#leases.set(uploadId, { renewedMs: nowMs, leaseMs });
      else if (renewedMs + leaseMs <= nowMs && expired.length < limit) expired.push(uploadId);
    }
    return expired;
  }
}
