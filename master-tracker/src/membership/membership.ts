/**
 * The registry of keepers: who is there, in which state, and with how much room.
 *
 * The failure it answers: a tracker that trusts a silent keeper loses chunks; one that distrusts keepers because
 * it was itself asleep starts a copy storm. The registry follows every keeper's lease (lease.ts) by the monotonic
 * clock value that each call is given, and takes its own absences into account before it judges anyone.
 *
 * The promise: states change only by register, heartbeat, stopping and tick, each of which returns the changes;
 * no call looks at a clock; memory is bounded by the limit of keepers. Nothing here must survive: the metadata
 * remembers the keepers, and after a restart of the tracker every lease starts full.
 */
import type { PlacementCandidate } from '../placement/placement.js';
import type {
  ExpectedKeeper,
  HeartbeatResult,
  KeeperHeartbeat,
  KeeperIdentity,
  KeeperRegistration,
  KeeperTransition,
  KeeperView,
  RegistrationResult,
  RegistrationVerdict,
} from './keeper.js';
import type { KeeperState, Lease, LeaseTiming } from './lease.js';
import { DEFAULT_LEASE_TIMING, extendLease, stateOfLease } from './lease.js';
import { type RivalSign, Rivals } from './rivals.js';

export interface MembershipLimits extends LeaseTiming {
  /** How often the caller means to tick. */
  readonly tickIntervalMs: number;
  /** How much later than that a tick may come before the tracker counts as having been away. */
  readonly pauseToleranceMs: number;
  /** How many keepers may be known; the next new one is refused. */
  readonly maxKeepers: number;
}

const DEFAULT_MEMBERSHIP_LIMITS: MembershipLimits = {
  ...DEFAULT_LEASE_TIMING,
  // A fifth of suspectAfterMs: a state is at most that much out of date.
  tickIntervalMs: 1_000,
  // Less than suspectAfterMs, or keepers would be suspected for the tracker's own pause; more than a busy event
  // loop is ever late, or a loaded tracker would keep dead keepers alive.
  pauseToleranceMs: 2_000,
  // About 1 KiB each in memory and 10,000 heartbeats a second, more than one tracker answers.
  maxKeepers: 10_000,
};

export interface MembershipOptions {
  /** The tracker's start on its monotonic clock: when the leases of the expected keepers begin. */
  readonly nowMs: number;
  /** The keepers that the metadata names. */
  readonly expected?: Iterable<ExpectedKeeper>;
  /** What differs from DEFAULT_MEMBERSHIP_LIMITS. */
  readonly limits?: Partial<MembershipLimits>;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

interface Member {
  readonly view: Mutable<KeeperView>;
  lease: Lease;
  /** The start that this one took the place of, if it was heard since the tracker started, and when. */
  readonly superseded: { readonly incarnation: number; readonly atMs: number } | null;
  /** An announced absence. */
  away: Absence | undefined;
}

interface Absence {
  /** On the tracker's monotonic clock; later by every pause of the tracker since. */
  untilMs: number;
  /** True once it was started again since: it takes pieces, and is waited for if it falls silent once more. */
  back: boolean;
}

/** Two live keepers with one identity were found out. */
export interface IdentityConflict {
  readonly text: string;
  /** True if the rival had a lease until lately: pieces that it took since then count for the other one. */
  readonly hadLease: boolean;
}

export class Membership {
  /** The limits in force; `deadAfterMs` is what keepers are told as their lease. */
  readonly limits: MembershipLimits;
  readonly #members = new Map<string, Member>();
  readonly #rivals: Rivals;
  #lastTickMs: number;

  constructor(options: MembershipOptions) {
    this.limits = { ...DEFAULT_MEMBERSHIP_LIMITS, ...options.limits };
    this.#lastTickMs = options.nowMs;
    this.#rivals = new Rivals({
      // Longer than any call waits for its answer (3 s for a heartbeat), and than what a killed process had sent.
      confirmAfterMs: this.limits.suspectAfterMs,
      goneAfterMs: this.limits.deadAfterMs,
    });
    for (const keeper of options.expected ?? []) {
      const lease: Lease = { kind: keeper.stopping ? 'stopping' : 'expected', sinceMs: options.nowMs };
      const { maintenanceMs } = keeper;
      const away =
        maintenanceMs === undefined ? undefined : { untilMs: options.nowMs + maintenanceMs, back: false };
      const member: Member = { view: blankView(keeper), lease, superseded: null, away };
      member.view.state = this.#stateOf(member, options.nowMs);
      this.#members.set(keeper.keeperId, member);
    }
  }

  /**
   * Says what `register` would answer, without any effect, so that the caller can first make the metadata
   * agree (drop the pieces of a replaced storage, store the new incarnation) and then register.
   *
   * Incarnations are compared within one storage only: a wiped storage starts to count from the beginning. An earlier
   * start is taken once the later one is gone: of two copies of one storage, that is the one that is left.
   */
  judgeRegistration(registration: KeeperIdentity): RegistrationVerdict {
    const known = this.#members.get(registration.keeperId)?.view;
    if (!known) {
      if (this.#members.size >= this.limits.maxKeepers) {
        return { outcome: 'too-many-keepers', limit: this.limits.maxKeepers };
      }
      return { outcome: 'registered', isNewKeeper: true, storageReplaced: false };
    }
    const storageReplaced = known.storageId !== registration.storageId;
    if (!storageReplaced && registration.incarnation < known.incarnation && !this.#isGone(known)) {
      return { outcome: 'stale-incarnation', knownIncarnation: known.incarnation };
    }
    return { outcome: 'registered', isNewKeeper: false, storageReplaced };
  }

  /**
   * Makes a start of a keeper known and the keeper live. It must report all its pieces, unless this very start
   * has done so already. Idempotent.
   */
  register(registration: KeeperRegistration, nowMs: number): RegistrationResult {
    const verdict = this.judgeRegistration(registration);
    if (verdict.outcome !== 'registered') return verdict;
    const before = this.#members.get(registration.keeperId);
    const from = before?.view.state ?? null;
    const reported = before !== undefined && before.view.reported && isSameStart(before.view, registration);
    const { keeperId, storageId, incarnation } = registration;
    let superseded: Member['superseded'] = null;
    let identityConflict: string | null = null;
    if (before?.view.storageId === storageId && before.view.lastHeardMs !== null) {
      const { lastHeardMs, address } = before.view;
      // Again the same start: what it took the place of stays.
      const isAgain = before.view.incarnation === incarnation;
      superseded = isAgain ? before.superseded : { incarnation: before.view.incarnation, atMs: nowMs };
      const other = { keeperId, incarnation: before.view.incarnation, address, lastHeardMs };
      this.#rivals.registered(incarnation, other, nowMs);
      ({ identityConflict } = before.view);
    } else this.#rivals.forget(keeperId);
    const draining = before?.view.draining ?? false;
    const heard = { draining, reported, lastHeardMs: nowMs, state: from ?? 'live', identityConflict };
    const member: Member = {
      view: { ...blankView(registration), ...heard },
      lease: { kind: 'heard', sinceMs: nowMs },
      superseded,
      away: before?.away && {
        ...before.away,
        // The same start that registers once more is still about to go.
        back: before.away.back || !isSameStart(before.view, registration),
      },
    };
    this.#members.set(keeperId, member);
    this.#settle(member, nowMs);
    return { ...verdict, transition: from === 'live' ? null : { keeperId, from, to: 'live' } };
  }

  /**
   * Notes that a known keeper is there with another storage: of the old one nothing is left, and the new one is
   * nobody until it registers.
   */
  replaceStorage(registration: KeeperRegistration, nowMs: number): void {
    const before = this.#members.get(registration.keeperId);
    if (!before) return;
    const { state, deadSinceMs, draining } = before.view;
    const member: Member = {
      view: { ...blankView(registration), state, deadSinceMs, draining },
      lease: { kind: 'heard', sinceMs: -Infinity },
      superseded: null,
      // What was announced was the absence of what is gone.
      away: undefined,
    };
    this.#members.set(registration.keeperId, member);
    this.#rivals.forget(registration.keeperId);
    this.#settle(member, nowMs);
  }

  /**
   * Renews the lease and takes up the keeper's news; what was reserved since the last heartbeat is forgotten,
   * as the new capacity tells. A keeper that only the metadata knows must register first: the tracker's start
   * is new to it, and its keys and its report with it.
   */
  heartbeat(heartbeat: KeeperHeartbeat, nowMs: number): HeartbeatResult {
    const member = this.#members.get(heartbeat.keeperId);
    if (!member || member.view.lastHeardMs === null || !isSameStart(member.view, heartbeat)) {
      return { outcome: 'not-registered' };
    }
    const { view } = member;
    if (this.#rivals.mustRegister(heartbeat.keeperId, nowMs)) {
      view.reported = false;
      return { outcome: 'not-registered' };
    }
    view.lastHeardMs = nowMs;
    view.capacity = heartbeat.capacity;
    view.activeStreams = heartbeat.activeStreams;
    view.freeTaskSlots = heartbeat.freeTaskSlots;
    view.storageError = heartbeat.storageError;
    view.scrub = heartbeat.scrub ?? view.scrub;
    view.reservedBytes = 0;
    view.reservedPieces = 0;
    // Once stopping, always stopping: see `maintenance` in lease.ts.
    const stopped = member.lease.kind === 'stopping' && view.state === 'maintenance';
    const stops = heartbeat.stopping || stopped;
    member.lease = { kind: stops ? 'stopping' : 'heard', sinceMs: nowMs };
    return { outcome: 'accepted', transition: this.#settle(member, nowMs) };
  }

  /** Takes a keeper as stopped on purpose from now on; null if it is unknown, dead or in maintenance already. */
  stopping(keeperId: string, nowMs: number): KeeperTransition | null {
    const member = this.#members.get(keeperId);
    if (!member || member.view.state === 'dead') return null;
    member.lease = { kind: 'stopping', sinceMs: nowMs };
    return this.#settle(member, nowMs);
  }

  /**
   * Notes a sign of life of a start that is not the registered one. Answers once, when it is clear that both are
   * alive: the keeper then takes no new pieces until one of them is gone (rivals.ts).
   */
  hearRival(sign: KeeperIdentity & RivalSign, nowMs: number): IdentityConflict | null {
    const member = this.#members.get(sign.keeperId);
    if (!member || member.view.lastHeardMs === null || member.view.storageId !== sign.storageId) return null;
    const { view, superseded } = member;
    if (view.incarnation === sign.incarnation) return null;
    const address = this.#rivals.heard(sign, nowMs, view.lastHeardMs ?? nowMs);
    if (address === undefined) return null;
    const text =
      `two keepers run from copies of one data directory, at ${view.address} and ${address || 'another address'}; ` +
      'neither gets new pieces until one of them is stopped for good';
    view.identityConflict = text;
    // A keeper takes nothing past its lease.
    const leaseMs = this.limits.deadAfterMs + this.limits.suspectAfterMs;
    const hadLease = superseded?.incarnation === sign.incarnation && nowMs - superseded.atMs < leaseMs;
    return { text, hadLease };
  }

  /** Notes that the full report is in that a doubt about the keeper's identity waited for; true if that ends it. */
  settleIdentity(keeperId: string): boolean {
    const member = this.#members.get(keeperId);
    if (!member?.view.reported || !this.#rivals.reported(keeperId)) return false;
    member.view.identityConflict = null;
    return true;
  }

  /** Notes that the full report of this start is in. False if that start is not the one that is known. */
  markReported(identity: KeeperIdentity): boolean {
    const member = this.#members.get(identity.keeperId);
    if (!member || member.view.lastHeardMs === null || !isSameStart(member.view, identity)) return false;
    member.view.reported = true;
    return true;
  }

  /**
   * Notes that the tracker is running. If it was away (paused, suspended, starved) since the last tick, every
   * lease is extended by the whole gap: nobody could be heard meanwhile. Returns the gap in
   * milliseconds, 0 if there was none. `tick` does this first; there is no need to call both.
   */
  observeTick(nowMs: number): number {
    const elapsedMs = nowMs - this.#lastTickMs;
    this.#lastTickMs = Math.max(nowMs, this.#lastTickMs);
    if (elapsedMs <= this.limits.tickIntervalMs + this.limits.pauseToleranceMs) return 0;
    for (const member of this.#members.values()) {
      member.lease = extendLease(member.lease, elapsedMs, nowMs);
      if (member.away) member.away.untilMs += elapsedMs;
    }
    this.#rivals.extend(elapsedMs, nowMs);
    return elapsedMs;
  }

  /** Judges every lease. To be called every `tickIntervalMs`; returns what changed, in order of joining. */
  tick(nowMs: number): KeeperTransition[] {
    this.observeTick(nowMs);
    this.#rivals.tick(nowMs);
    const transitions: KeeperTransition[] = [];
    for (const member of this.#members.values()) {
      // The dead stay dead until they are heard: a pause of the tracker is no sign of life from them.
      if (member.view.state === 'dead') continue;
      const transition = this.#settle(member, nowMs);
      if (transition) transitions.push(transition);
    }
    return transitions;
  }

  /** Notes a piece that was allocated to a keeper, for placement until its next heartbeat. */
  reserve(keeperId: string, sizeBytes: number): void {
    const member = this.#members.get(keeperId);
    if (!member) return;
    member.view.reservedBytes += sizeBytes;
    member.view.reservedPieces += 1;
  }

  get size(): number {
    return this.#members.size;
  }

  get(keeperId: string): KeeperView | undefined {
    const member = this.#members.get(keeperId);
    return member && { ...member.view };
  }

  /** All keepers, in the order in which they became known. */
  list(): KeeperView[] {
    return Array.from(this.#members.values(), (member) => ({ ...member.view }));
  }

  /** True if the keeper's pieces count: it is live, suspect or in maintenance. */
  isCounted(keeperId: string): boolean {
    const state = this.#members.get(keeperId)?.view.state;
    return state !== undefined && state !== 'dead';
  }

  /**
   * Announces that a keeper will be away for `durationMs` from now on; 0 ends that. null if its state stays as it
   * is, or it is not known.
   */
  setMaintenance(keeperId: string, durationMs: number, nowMs: number): KeeperTransition | null {
    const member = this.#members.get(keeperId);
    if (!member) return null;
    member.away = durationMs > 0 ? { untilMs: nowMs + durationMs, back: false } : undefined;
    return this.#settle(member, nowMs);
  }

  /** How much of an announced absence is left; undefined if none was announced or it is over. */
  maintenanceLeftMs(keeperId: string, nowMs: number): number | undefined {
    const leftMs = (this.#members.get(keeperId)?.away?.untilMs ?? -Infinity) - nowMs;
    return leftMs > 0 ? leftMs : undefined;
  }

  /** Forgets a keeper that will not come back; should it, it is a new one. */
  forget(keeperId: string): void {
    this.#members.delete(keeperId);
    this.#rivals.forget(keeperId);
  }

  /** Whether the keeper is to be emptied, as the metadata says. */
  setDraining(keeperId: string, draining: boolean): void {
    const member = this.#members.get(keeperId);
    if (member) member.view.draining = draining;
  }

  /**
   * False right after the tracker's start: until each keeper was heard of, or its lease has run out, what looks
   * missing may only be late. Lasts deadAfterMs at most.
   */
  knowsWhoIsThere(): boolean {
    for (const { view } of this.#members.values()) {
      if (view.lastHeardMs === null && view.state === 'suspect') return false;
    }
    return true;
  }

  /** The keepers that take new pieces: live, not being emptied, of undoubted identity, on a storage that can be written. */
  placementCandidates(): PlacementCandidate[] {
    const candidates: PlacementCandidate[] = [];
    for (const { view } of this.#members.values()) {
      const isOut = view.draining || view.storageError !== null || view.identityConflict !== null;
      if (view.state !== 'live' || isOut) continue;
      candidates.push({
        keeperId: view.keeperId,
        zone: view.zone,
        totalBytes: view.capacity.totalBytes,
        freeBytes: view.capacity.freeBytes,
        reservedBytes: view.reservedBytes,
        // A piece that was just allocated is a stream that the keeper has not reported yet.
        activeStreams: view.activeStreams + view.reservedPieces,
      });
    }
    return candidates;
  }

  /** True if the lease ran out; where another start is heard, also if one that stopped on purpose was silent so long. */
  #isGone({ keeperId, state, lastHeardMs }: KeeperView): boolean {
    if (state === 'dead') return true;
    const silentMs = lastHeardMs === null ? 0 : this.#lastTickMs - lastHeardMs;
    return this.#rivals.hasRival(keeperId) && silentMs >= this.limits.deadAfterMs;
  }

  /** By its lease; an announced absence is maintenance until it is over or the keeper was started again. */
  #stateOf({ lease, away }: Member, nowMs: number): KeeperState {
    const state = stateOfLease(lease, nowMs, this.limits);
    const isAway = away !== undefined && nowMs < away.untilMs && (!away.back || state !== 'live');
    return isAway ? 'maintenance' : state;
  }

  /** Brings the state in line with the lease; null if it is so already. */
  #settle(member: Member, nowMs: number): KeeperTransition | null {
    const { view } = member;
    const from = view.state;
    const to = this.#stateOf(member, nowMs);
    if (from === to) return null;
    view.state = to;
    view.deadSinceMs = to === 'dead' ? nowMs : null;
    return { keeperId: view.keeperId, from, to };
  }
}

function isSameStart(known: KeeperIdentity, other: KeeperIdentity): boolean {
  return known.storageId === other.storageId && known.incarnation === other.incarnation;
}

/** A keeper of which nothing but its own description is known. */
function blankView(keeper: ExpectedKeeper): KeeperView {
  return {
    keeperId: keeper.keeperId,
    storageId: keeper.storageId,
    incarnation: keeper.incarnation,
    address: keeper.address,
    zone: keeper.zone,
    capacity: keeper.capacity,
    softwareVersion: keeper.softwareVersion ?? '',
    state: 'suspect',
    deadSinceMs: null,
    lastHeardMs: null,
    draining: keeper.draining ?? false,
    reported: false,
    storageError: null,
    scrub: null,
    identityConflict: null,
    activeStreams: 0,
    freeTaskSlots: 0,
    reservedBytes: 0,
    reservedPieces: 0,
  };
}
