/**
 * A session's chunks: asks the tracker for them in batches, reports what is sealed with the same calls, and
 * keeps the lease alive while bytes move slowly. One call at a time, so a batch serves all writers that wait.
 *
 * What it answers: a call for every chunk would make the tracker the bottleneck of small chunks, and a lease
 * that nobody renews would end a slow upload in the middle.
 */
import pLimit from 'p-limit';
import { HoldfastError, limits, throwIfCancelled } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { asking } from '../core/retrying.js';
import { firstOf } from '../core/signals.js';
import type { ChunkAllocation, SealedChunk, UploadSession } from '../ports/tracker-api.js';

/** A third of the lease: two renewals may be lost before the session is. */
const renewalsPerLease = 3;
/** A token is used in the first half of its life, so that it outlives the transfer it starts. */
const freshFraction = 0.5;

interface Pooled {
  readonly allocation: ChunkAllocation;
  readonly sinceMs: number;
}

export class ChunkAllocator {
  readonly #context: ClientContext;
  readonly #session: UploadSession;
  readonly #batch: number;
  readonly #askedLeaseMs: number;
  readonly #oneAtATime = pLimit(1);
  readonly #abort = new AbortController();
  #pool: Pooled[];
  #sealed: SealedChunk[] = [];
  #leaseMs: number;
  #heardAtMs: number;
  /** How many chunks are still to be written as far as is known; bounds how many are asked for. */
  #expected: number;

  /** @param askedLeaseMs a longer lease than the session has, if the tracker gives it; 0 for none */
  constructor(
    context: ClientContext,
    session: UploadSession,
    chunks: number | undefined,
    batch: number,
    askedLeaseMs = 0,
  ) {
    this.#context = context;
    this.#session = session;
    this.#batch = Math.min(batch, limits.maxAllocateCount);
    this.#askedLeaseMs = askedLeaseMs;
    this.#leaseMs = session.leaseMs;
    // A longer lease is asked for at once.
    this.#heardAtMs = askedLeaseMs > session.leaseMs ? -Infinity : context.clock.monotonicMs();
    this.#pool = this.#pooled(session.allocations);
    this.#expected = (chunks ?? Infinity) - session.allocations.length;
  }

  /**
   * A chunk to write, away from the keepers in `exclude` as far as the tracker finds others.
   *
   * @throws HoldfastError NOT_ENOUGH_KEEPERS, OUT_OF_SPACE, UPLOAD_CLOSED, UNAVAILABLE
   */
  async take(exclude: ReadonlySet<string>, signal: AbortSignal): Promise<ChunkAllocation> {
    throwIfCancelled(signal);
    // What is here does not wait for a call that renews the lease.
    const here = this.#takePooled(exclude);
    if (here) return here;
    return this.#oneAtATime(async () => {
      throwIfCancelled(signal);
      const pooled = this.#takePooled(exclude);
      if (pooled) return pooled;
      const count = Math.max(1, Math.min(this.#batch, this.#expected));
      const allocations = await this.#call(count, [...exclude], signal);
      const [first, ...rest] = allocations;
      if (!first) {
        throw new HoldfastError('NOT_ENOUGH_KEEPERS', 'the tracker found no keepers for a chunk', {
          remedy: 'See `client status`: start keepers, or free space on them.',
        });
      }
      this.#expected -= allocations.length;
      this.#pool.push(...this.#pooled(rest));
      return first;
    });
  }

  /** A chunk that has its receipts. Told to the tracker with the next call, or the commit. */
  seal(chunk: SealedChunk): void {
    this.#sealed.push(chunk);
  }

  /** What the commit has to report: at most one call's worth, the rest goes ahead. */
  async remainingSealed(signal: AbortSignal): Promise<readonly SealedChunk[]> {
    while (this.#sealed.length > limits.maxSealedPerCall) {
      await this.#oneAtATime(() => this.#call(0, [], signal));
    }
    return this.#sealed;
  }

  /**
   * Renews the lease until `stop`. Resolves then; rejects if the session is over or `signal` is aborted.
   * A renewal that fails for a while is no matter: the next one comes before the lease ends.
   */
  async renewUntilStopped(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context;
    const either = firstOf(signal, this.#abort.signal);
    while (!either.aborted) {
      const everyMs = this.#leaseMs / renewalsPerLease;
      const dueInMs = this.#heardAtMs + everyMs - clock.monotonicMs();
      if (dueInMs > 0) {
        // Rejects only when it is aborted, which the loop sees.
        await clock.sleep(dueInMs, { signal: either, unref: true }).catch(() => undefined);
        continue;
      }
      await this.#oneAtATime(() => this.#call(0, [], either)).catch((error: unknown) => {
        if (either.aborted || (HoldfastError.is(error) && error.retryable)) return;
        throw error;
      });
    }
  }

  /** Ends the renewing. */
  stop(): void {
    this.#abort.abort();
  }

  #takePooled(exclude: ReadonlySet<string>): ChunkAllocation | undefined {
    const oldestMs = this.#context.clock.monotonicMs() - this.#session.tokenLifetimeMs * freshFraction;
    // What is left out here is reclaimed with the session; a chain with a dead keeper costs more.
    this.#pool = this.#pool.filter(
      ({ allocation, sinceMs }) =>
        sinceMs >= oldestMs && !allocation.keepers.some(({ keeperId }) => exclude.has(keeperId)),
    );
    return this.#pool.shift()?.allocation;
  }

  #pooled(allocations: readonly ChunkAllocation[]): Pooled[] {
    const sinceMs = this.#context.clock.monotonicMs();
    return allocations.map((allocation) => ({ allocation, sinceMs }));
  }

  async #call(count: number, excludeKeeperIds: string[], signal: AbortSignal): Promise<ChunkAllocation[]> {
    const { tracker, clock } = this.#context;
    const sealed = this.#sealed.slice(0, limits.maxSealedPerCall);
    const { uploadId } = this.#session;
    const request = { uploadId, count, excludeKeeperIds, sealed, leaseMs: this.#askedLeaseMs };
    const answer = await asking(this.#context, signal, () => tracker.allocateChunks(request, { signal }));
    this.#sealed = this.#sealed.slice(sealed.length);
    this.#leaseMs = answer.leaseMs;
    this.#heardAtMs = clock.monotonicMs();
    return [...answer.allocations];
  }
}
