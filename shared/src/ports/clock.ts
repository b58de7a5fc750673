/**
 * Time as a port. Leases, timeouts and grace periods count monotonic milliseconds; wall-clock time is for
 * display only, because it jumps (S11). A simulation passes a clock of its own.
 */
export interface Clock {
  /** Milliseconds that only grow, from an arbitrary start. Not rounded. */
  monotonicMs(): number;
  /** Milliseconds since 1970 as the machine believes. For display and records, never for decisions. */
  wallMs(): number;
  /**
   * Resolves after `durationMs` (cut to 0 to 2^31 - 1). Rejects with the signal's reason when it is aborted;
   * the timer is then gone. Does not keep the process alive when `unref` is set.
   */
  sleep(durationMs: number, options?: { signal?: AbortSignal | undefined; unref?: boolean }): Promise<void>;
  /** Calls `callback` once after `durationMs`, unless the returned function is called before. */
  schedule(durationMs: number, callback: () => void): () => void;
}
