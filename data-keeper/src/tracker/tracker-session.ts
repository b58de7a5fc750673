/**
 * The keeper's life with its tracker: registers, renews the lease once a heartbeat interval, brings news, takes
 * tasks, and reports everything it has after each registration.
 *
 * The failures it answers: a tracker that is away (the keeper goes on serving reads and comes back by itself),
 * one that restarted or forgot this keeper (registers and reports again), and one that must not be obeyed
 * (AuthorityWatch: nothing in its answer is used, not even the lease).
 */
import {
  type Clock,
  HoldfastError,
  type Logger,
  type Random,
  Worker,
  type WorkerStep,
  hasCode,
  withRetry,
} from '@holdfast/shared';
import type { BadPieceLog } from '../scrub/bad-piece-log.js';
import type { PieceVerifier } from '../scrub/piece-verifier.js';
import type { KeeperSettings } from '../settings.js';
import type { Capacity, ChunkStore } from '../store/chunk-store.js';
import type { StorageIdentity } from '../store/storage-identity.js';
import type { TaskRunner } from '../tasks/task-runner.js';
import { orStall } from '../write/stall.js';
import type { AuthorityWatch } from './authority-watch.js';
import { sendFullReport } from './full-report.js';
import type { Lease } from './lease.js';
import type { StoredLog } from './stored-log.js';
import type { KeeperStart, RegisterAnswer, ScrubProgress, TrackerLink } from './tracker-link.js';

export interface TrackerSessionDeps {
  readonly link: TrackerLink;
  readonly identity: StorageIdentity;
  readonly authority: AuthorityWatch;
  readonly lease: Lease;
  readonly store: ChunkStore;
  readonly storedLog: StoredLog;
  readonly tasks: TaskRunner;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: KeeperSettings;
  readonly address: string;
  readonly zone: string;
  readonly activeStreams: () => number;
  readonly badPieces: BadPieceLog;
  readonly verifier: PieceVerifier;
  readonly scrubProgress: () => ScrubProgress;
}

/** The first registration: a tracker that starts at the same time is asked again soon. */
const firstBackoff = { initialBackoffMs: 50, maxBackoffMs: 1_000, factor: 2 };
/**
 * After a task has ended the next heartbeat comes this soon, to take more: repair is not to wait for the interval.
 * Long enough for the tracker to plan what follows, and for tasks that end together to share a heartbeat. Should that
 * one bring no task, the next comes after twice the time, and so on up to the interval: the plan of a busy tracker is
 * late, and a second of waiting is a hundred small copies.
 */
const nextTaskInMs = 25;
/** Nothing to report until woken. */
const untilWokenMs = 2 ** 31 - 1;

export class TrackerSession {
  readonly #deps: TrackerSessionDeps;
  readonly #heartbeat: Worker;
  readonly #report: Worker;
  #registered: RegisterAnswer | undefined;
  /** False from a NOT_REGISTERED on, until registered again. The keys stay good meanwhile. */
  #known = false;
  #registeredMs = -Infinity;
  /** Withdraws the early heartbeat that is scheduled. */
  #cancelEarly: (() => void) | undefined;
  /** What it may not read, so that it cannot tell what it has: until it could, it takes no new pieces. */
  #reportError: HoldfastError | undefined;
  /** How soon the next heartbeat is to ask for tasks, if this one brings none. */
  #askAgainInMs = Infinity;
  #reportDue = false;
  /** The tracker's last wish for a report, and the last one that was answered. */
  #wantedReport = '';
  #answeredReport = '';
  /** The tracker was told that the storage is not there. */
  #saidGone = false;
  /** As last seen. */
  #capacity: Capacity = { totalBytes: 0, usedBytes: 0, freeBytes: 0, trashBytes: 0 };
  #looking: Promise<Capacity> | undefined;
  /** Ends the full report that runs. */
  #endReport = (): void => undefined;

  constructor(deps: TrackerSessionDeps) {
    this.#deps = deps;
    const { clock, logger } = deps;
    this.#heartbeat = new Worker({ name: 'heartbeat', clock, logger, step: (signal) => this.#beat(signal) });
    deps.tasks.onSlotFree = () => this.#beatEarly();
    this.#report = new Worker({ name: 'full report', clock, logger, step: (signal) => this.#tell(signal) });
  }

  /** @throws HoldfastError UNAVAILABLE before the first registration */
  get keys(): { readonly tokenKey: Buffer; readonly receiptKey: Buffer } {
    if (this.#registered) return this.#registered;
    throw new HoldfastError('UNAVAILABLE', 'this keeper is starting', { retryAfterMs: 500 });
  }

  /**
   * Registers for the first time, patiently, and starts the background work.
   *
   * @throws HoldfastError the tracker's last answer when registerTimeoutMs is over; at once WRONG_CLUSTER and
   *   whatever else a retry cannot mend
   */
  async start(signal: AbortSignal): Promise<void> {
    const { clock, random, logger, settings } = this.#deps;
    await withRetry(
      { ...firstBackoff, budgetMs: settings.registerTimeoutMs },
      {
        clock,
        random,
        signal,
        onRetry: (error) => logger.info('waiting for the tracker', { reason: error.message }),
      },
      () => this.#register(signal),
    );
    this.#heartbeat.start();
    this.#report.start();
  }

  /** Ends the background work; with `goodbye` the tracker is told that this is on purpose. */
  async stop(goodbye: boolean): Promise<void> {
    this.#cancelEarly?.();
    await Promise.all([this.#heartbeat.stop(), this.#report.stop()]);
    if (!goodbye || !this.#registered) return;
    try {
      await this.#sendHeartbeat(true);
    } catch (error) {
      this.#deps.logger.info('the tracker could not be told goodbye', { error });
    }
    await this.#deps.authority.flush();
  }

  get #start(): KeeperStart {
    const { keeperId, storageId, incarnation } = this.#deps.identity;
    return { keeperId, storageId, incarnation };
  }

  async #register(signal: AbortSignal): Promise<void> {
    const { link, identity, authority, lease, clock, settings, address, zone } = this.#deps;
    const { clusterId } = identity;
    const { capacity } = await this.#lookAtStorage(signal);
    // What a report listed before the tracker knows this start says nothing of what came meanwhile.
    this.#endReport();
    const sentMs = clock.monotonicMs();
    const answer = await link.register(
      { ...this.#start, clusterId, address, zone, capacity, witnessed: authority.highest },
      { deadlineMs: settings.controlDeadlineMs, signal },
    );
    await authority.admit(answer.authority);
    lease.renew(sentMs, answer.leaseMs);
    this.#registered = answer;
    this.#known = true;
    this.#registeredMs = clock.monotonicMs();
    this.#reportDue = true;
    this.#report.wake();
  }

  #beatEarly(): void {
    this.#askAgainInMs = nextTaskInMs;
    this.#cancelEarly ??= this.#deps.clock.schedule(nextTaskInMs, () => {
      this.#cancelEarly = undefined;
      this.#heartbeat.wake();
    });
  }

  async #beat(signal: AbortSignal): Promise<WorkerStep> {
    const nextInMs = this.#registered?.heartbeatIntervalMs ?? 0;
    if (this.#saidGone) {
      await this.#lookAtStorage(signal);
      if (this.#deps.store.gone) return { nextInMs };
      this.#saidGone = false;
      this.#deps.logger.info('the data directory is there again');
      this.reportAnew();
    }
    if (!this.#known) {
      // A tracker that forgets at once what it was told is asked no more often than any other.
      const agoMs = this.#deps.clock.monotonicMs() - this.#registeredMs;
      if (agoMs < nextInMs) return { nextInMs: nextInMs - agoMs };
      await this.#register(signal);
    }
    try {
      await this.#sendHeartbeat(false, signal);
    } catch (error) {
      if (!hasCode(error, 'NOT_REGISTERED')) throw error;
      this.#known = false;
      return { nextInMs: 0 };
    }
    this.#askAgainInMs *= 2;
    return { nextInMs: Math.min(nextInMs, this.#askAgainInMs) };
  }

  /**
   * Without its storage the keeper has no copy of anything. Once that was said, no heartbeat follows: the tracker then
   * takes its pieces for gone as it does with a machine that is, and takes them back with the next heartbeat.
   */
  #fallSilent(): void {
    const { store, logger } = this.#deps;
    this.#saidGone = true;
    logger.error('the data directory is not there: no heartbeats until it is', { error: store.failure });
  }

  /** A disk that hangs or is gone must not silence the keeper: the tracker is told that it takes no pieces. */
  async #lookAtStorage(
    signal = new AbortController().signal,
  ): Promise<{ capacity: Capacity; storageError: HoldfastError | undefined }> {
    const { store, clock, settings } = this.#deps;
    // One question at a time: each that hangs holds a thread.
    this.#looking ??= store.capacity().finally(() => {
      this.#looking = undefined;
    });
    const what = 'the disk did not answer';
    try {
      this.#capacity = await orStall(this.#looking, { clock, stallMs: settings.diskStallMs, signal, what });
      return { capacity: this.#capacity, storageError: store.failure ?? this.#reportError };
    } catch (error) {
      if (signal.aborted) throw error;
      const hung = new HoldfastError('DISK_FAILED', what, {
        cause: error,
        remedy: "Check the keeper's disk and kernel log.",
      });
      const why = hasCode(error, 'PERMISSION_DENIED') ? error : hung;
      return { capacity: { ...this.#capacity, freeBytes: 0 }, storageError: store.failure ?? why };
    }
  }

  async #sendHeartbeat(stopping: boolean, signal?: AbortSignal): Promise<void> {
    const { link, store, authority, lease, storedLog, badPieces, tasks, clock, settings, activeStreams } =
      this.#deps;
    // A piece that was stored again is not in the second list, so the tracker may take them in this order.
    const stored = storedLog.next();
    const bad = badPieces.next();
    const { capacity, storageError } = await this.#lookAtStorage(signal);
    const saysGone = store.gone && storageError !== undefined;
    const sentMs = clock.monotonicMs();
    const answer = await link.heartbeat(
      {
        ...this.#start,
        capacity,
        stored,
        activeStreams: activeStreams(),
        freeTaskSlots: stopping ? 0 : tasks.freeSlots,
        stopping,
        storageError,
        scrub: this.#deps.scrubProgress(),
        badPieces: bad,
      },
      { deadlineMs: settings.heartbeatDeadlineMs, signal },
    );
    await authority.admit(answer.authority);
    storedLog.acknowledge(stored);
    badPieces.acknowledge(bad);
    if (saysGone) this.#fallSilent();
    if (stopping) return;
    lease.renew(sentMs, answer.leaseMs);
    tasks.offer(answer.tasks, answer.authority);
    // Their ends say when to ask for more.
    if (answer.tasks.length > 0) this.#askAgainInMs = Infinity;
    const isWanted = answer.wantedReport !== '' && answer.wantedReport !== this.#wantedReport;
    if (isWanted) this.#wantedReport = answer.wantedReport;
    if ((storedLog.overflowed || isWanted) && !this.#reportDue) {
      this.#reportDue = true;
      this.#report.wake();
    }
  }

  /**
   * Pieces are gone, and only a list of what is there shows which. The registration comes first: a report tells of
   * what was durable by then.
   */
  reportAnew(): void {
    this.#known = false;
    this.#heartbeat.wake();
  }

  /** One full report, if one is due. */
  async #tell(signal: AbortSignal): Promise<WorkerStep> {
    if (!this.#reportDue || !this.#known || this.#deps.store.gone) return { nextInMs: untilWokenMs };
    const { store, link, random, logger, authority, storedLog, settings } = this.#deps;
    const abort = new AbortController();
    this.#endReport = () => abort.abort();
    signal.addEventListener('abort', this.#endReport, { once: true });
    this.#reportDue = false;
    storedLog.reportBegins();
    // What is wished for while this one runs gets another one.
    const wantedReport = this.#wantedReport === this.#answeredReport ? '' : this.#wantedReport;
    try {
      await sendFullReport(
        {
          store,
          link,
          random,
          logger,
          start: this.#start,
          isBad: (key) => this.#deps.badPieces.has(key),
          condemn: (key, error) => this.#deps.verifier.condemn(key, error),
          admit: (offered) => authority.admit(offered),
          wantedReport,
        },
        { deadlineMs: settings.controlDeadlineMs, signal: abort.signal },
      );
      if (wantedReport !== '') this.#answeredReport = wantedReport;
      this.#reportError = undefined;
    } catch (error) {
      if (hasCode(error, 'PERMISSION_DENIED')) this.#reportError = error;
      this.#reportDue = true;
      if (abort.signal.aborted) return { nextInMs: untilWokenMs };
      if (!hasCode(error, 'NOT_REGISTERED')) throw error;
      this.#known = false;
      this.#heartbeat.wake();
    } finally {
      signal.removeEventListener('abort', this.#endReport);
      this.#reportDue = storedLog.reportEnds() || this.#reportDue;
    }
    // The registration that it may be waiting for wakes it.
    return { nextInMs: this.#reportDue ? 1_000 : untilWokenMs };
  }
}
