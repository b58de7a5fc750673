/**
 * How long a keeper counts as alive: the state machine of one lease.
 *
 * The failure it answers: a keeper that is gone, one that is slow and one that was restarted on purpose look
 * the same to the tracker, a silence. Copying its pieces too early is a copy storm for nothing; too late leaves
 * chunks a step from loss. So silence is judged in steps, and only a lease that ran out whole is a loss.
 *
 * The promise: a pure function of the lease and a monotonic clock. It decides about liveness only; nothing
 * that is safe depends on it, as chunks never change.
 *
 * The states, from the last sign of life on (registration or heartbeat):
 *
 * - `live` (below suspectAfterMs): takes new pieces; its pieces count.
 * - `suspect` (up to deadAfterMs): takes no new pieces, is read last; its pieces count, nothing is copied.
 *   A keeper that the metadata names but that has not registered since the tracker started begins here, with
 *   its whole lease before it: the tracker was away, not the keeper.
 * - `maintenance` (up to maintenanceMs after a heartbeat that said `stopping`): announced to be away and
 *   expected back; takes no new pieces; its pieces count. Only a registration leads back to `live`: a plain
 *   heartbeat of the same start can only have been overtaken by the one that announced the stop.
 * - `dead`: the lease ran out; its pieces do not count and are copied elsewhere. The next heartbeat or
 *   registration makes it live again, and its pieces count again: they are the same immutable bytes.
 *
 *     (new) ──register──▶ live ──5 s──▶ suspect ──30 s──▶ dead
 *                          ▲  ◀─heartbeat─┘                │
 *                          └────────heartbeat──────────────┘
 *     live, suspect ──stopping──▶ maintenance ──30 min──▶ dead       maintenance ──register──▶ live
 */

/** The word of the contract (KeeperState in cluster_service.proto) in lower case. */
export type KeeperState = 'live' | 'suspect' | 'maintenance' | 'dead';

/** How long each step of a silence is, in milliseconds since the last sign of life. */
export interface LeaseTiming {
  readonly suspectAfterMs: number;
  readonly deadAfterMs: number;
  readonly maintenanceMs: number;
}

export const DEFAULT_LEASE_TIMING: LeaseTiming = {
  // Five heartbeats of one second: fewer, and a pause of the garbage collector looks like an absence; more,
  // and new chunks go on being sent to a keeper that is gone.
  suspectAfterMs: 5_000,
  // Long enough to restart a process or a switch without copying anything, short enough that a second loss
  // within it is unlikely.
  deadAfterMs: 30_000,
  // A reboot with a file system check, or an upgrade by hand.
  maintenanceMs: 30 * 60_000,
};

/** A keeper's claim to count as alive, from one moment on. */
export interface Lease {
  /** 'expected': known from the metadata, not heard of since the tracker started. */
  readonly kind: 'expected' | 'heard' | 'stopping';
  /** When the lease began, on the tracker's monotonic clock; later by every pause of the tracker since. */
  readonly sinceMs: number;
}

/** The state that a lease stands for at `nowMs`, each step lasting until just before its time. */
export function stateOfLease(lease: Lease, nowMs: number, timing: LeaseTiming): KeeperState {
  const ageMs = nowMs - lease.sinceMs;
  if (lease.kind === 'stopping') return ageMs < timing.maintenanceMs ? 'maintenance' : 'dead';
  if (ageMs >= timing.deadAfterMs) return 'dead';
  return lease.kind === 'expected' || ageMs >= timing.suspectAfterMs ? 'suspect' : 'live';
}

/** The lease as if the tracker had not been away for `gapMs`; never begins later than now. */
export function extendLease(lease: Lease, gapMs: number, nowMs: number): Lease {
  return { kind: lease.kind, sinceMs: Math.min(nowMs, lease.sinceMs + gapMs) };
}
