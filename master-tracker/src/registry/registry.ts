/**
 * The registry of keepers: registration, heartbeats, full reports, and how tasks end.
 *
 * The failure it answers: a keeper that the tracker trusts although it is another one than it was: wiped, of
 * another cluster, started twice. The metadata is made to agree before the membership says yes, so a crash in
 * between leaves at worst a registration to be repeated.
 */
import {
  type Authority,
  type Clock,
  HoldfastError,
  type Logger,
  type Random,
  type Receipt,
} from '@holdfast/shared';
import type { TrackerIdentity } from '../cluster/identity.js';
import type { RegressionGuard } from '../cluster/regression.js';
import type { EventLog, NewEvent } from '../events/event-log.js';
import { plural } from '../events/words.js';
import { displacedRemedy } from '../membership/displaced.js';
import type {
  KeeperHeartbeat,
  KeeperIdentity,
  KeeperRegistration,
  KeeperTransition,
} from '../membership/keeper.js';
import type { KeeperState } from '../membership/lease.js';
import type { RivalSign } from '../membership/rivals.js';
import type { Membership } from '../membership/membership.js';
import type { InFlightTable } from '../repair/in-flight.js';
import type { RepairRuns } from '../repair/repair-runs.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { type PieceSource, type PieceSummary, adopt, newsIn } from './adopt.js';
import { isBeingReplaced, markAlive, markDead, markReplaced } from './keeper-changes.js';
import type { FullReports, ReportPage } from './full-report.js';
import { Gathered } from './gathered.js';
import { type BadPiece, recordBadPieces, saysBad } from './bad-pieces.js';
import { BadPieceEvents, foundChunks, lostChunks } from './piece-events.js';
import { recordDoubtful, recordTrashed } from './pieces.js';
import { reasons } from './reasons.js';
import { isDoubtful, receiptFits } from './receipts.js';
import type { KeeperTask, TaskBoard } from './task-board.js';

export interface RegistryParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly identity: TrackerIdentity;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly tasks: TaskBoard;
  readonly inFlight: InFlightTable;
  readonly reports: FullReports;
  /** About how often each keeper reports again. */
  readonly reportIntervalMs: number;
  readonly events: EventLog;
  readonly runs: RepairRuns;
  /** Called when repair may have something new to do. */
  readonly onRepairNews: () => void;
  /** Called when a keeper has read all its pieces, or could not. */
  readonly onScrubEnded: (keeperId: string, error: HoldfastError | undefined) => void;
}

/** How a task ended. */
export interface TaskOutcome {
  readonly identity: KeeperIdentity;
  readonly taskId: string;
  /** undefined if it was done. */
  readonly error: HoldfastError | undefined;
  readonly receipt: Receipt | undefined;
  readonly trashedChunkIds: readonly string[];
}

export class Registry {
  readonly #parts: RegistryParts;
  /** Changes of state that the metadata does not show yet. */
  readonly #unapplied: KeeperTransition[] = [];
  readonly #badPieces: BadPieceEvents;
  /** By keeper: when it is to report again, on the monotonic clock. */
  readonly #reportDueMs = new Map<string, number>();
  readonly #arrivals = new Gathered<PieceSummary>();

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.#badPieces = new BadPieceEvents(parts.store, parts.clock, parts.events);
  }

  /**
   * @throws HoldfastError WRONG_CLUSTER, STALE_EPOCH, LIMIT_EXCEEDED, METADATA_REGRESSED; UNAVAILABLE (retryable) while
   *   pieces of an earlier storage of the keeper are taken off the books, and if it was forgotten at the same moment
   */
  async register(
    registration: KeeperRegistration,
    clusterId: string,
    witnessed: Authority | undefined,
  ): Promise<void> {
    const { store, clock, identity, guard, membership, reports, events, logger } = this.#parts;
    const { keeperId } = registration;
    if (clusterId !== '' && clusterId !== identity.clusterId) {
      throw new HoldfastError(
        'WRONG_CLUSTER',
        `the keeper's storage belongs to another cluster (${clusterId}, and this is ${identity.clusterId})`,
        { remedy: 'Point the keeper at the tracker of its own cluster, or give it an empty data directory.' },
      );
    }
    await guard.witness(keeperId, witnessed);
    const verdict = membership.judgeRegistration(registration);
    if (verdict.outcome === 'stale-incarnation') await this.#hearRival(registration);
    if (verdict.outcome !== 'registered') throw refusal(verdict);
    if (verdict.storageReplaced) await this.#replaceStorage(registration);
    await store.mutate(async (tx) => {
      if (await isBeingReplaced(tx, keeperId)) throw stillOnTheBooks();
      // Its row says from here on that it is not dead: a change of what can be read.
      const told = foundChunks(keeperId, await markAlive(tx, events, keeperId));
      const row = rowOf(registration);
      await tx.db
        .insertInto('keepers')
        .values({ ...row, draining: 0, maintenance_ms: null, replaced: 0 })
        .onConflict((conflict) => conflict.column('keeper_id').doUpdateSet(row))
        .execute();
      const joined = verdict.isNewKeeper
        ? [describeJoining(registration), ...(await describeDisplaced(tx, registration))]
        : [];
      for (const each of [...joined, ...told]) await events.record(tx, each);
    });
    // Its row may have gone with it: what has no row counts for nothing.
    if (!verdict.isNewKeeper && !membership.get(keeperId)) throw justForgotten();
    const result = membership.register(registration, clock.monotonicMs());
    if (result.outcome !== 'registered') throw refusal(result);
    this.dropOrders(keeperId);
    // Also of a start that has reported already: it registers again when pieces of it are gone.
    reports.begin(registration);
    logger.info('a keeper registered', { keeperId, address: registration.address, ...verdict });
    if (result.transition && !verdict.isNewKeeper) await this.apply([result.transition]);
    this.#parts.onRepairNews();
  }

  /** What the keeper had is gone, from this moment on; its rows go page by page (keeper-changes.ts). */
  async #replaceStorage(registration: KeeperRegistration): Promise<void> {
    const { store, clock, guard, membership, events, logger } = this.#parts;
    const { keeperId } = registration;
    // A tracker that is behind its keepers drops nothing.
    guard.assertWritable();
    const text = 'the keeper came back with an empty storage; every piece that it had is copied anew';
    await store.mutate(async (tx) => {
      await events.record(tx, { kind: 'storage-replaced', subject: keeperId, text });
      await markReplaced(tx, events, registration);
      tx.onCommit(() => membership.replaceStorage(registration, clock.monotonicMs()));
    });
    logger.warn('a keeper came back with another storage', { keeperId });
    this.dropOrders(keeperId);
  }

  /**
   * Renews the lease, takes up news, hands out tasks.
   *
   * @param stored pieces that became durable
   * @param bad pieces that the keeper found bad, none of which it has stored again since
   * @throws HoldfastError NOT_REGISTERED
   */
  async heartbeat(
    heartbeat: KeeperHeartbeat,
    stored: readonly PieceSummary[],
    bad: readonly BadPiece[] = [],
  ): Promise<KeeperTask[]> {
    const { store, clock, guard, membership, tasks } = this.#parts;
    const { keeperId } = heartbeat;
    const wasStopping = membership.get(keeperId)?.state === 'maintenance';
    const result = membership.heartbeat(heartbeat, clock.monotonicMs());
    if (result.outcome === 'not-registered') {
      await this.#hearRival(heartbeat);
      throw notRegistered();
    }
    if (result.transition) await this.apply([result.transition]);
    if (heartbeat.stopping && !wasStopping) {
      await store.mutate(async ({ db }) => {
        await db.updateTable('keepers').set({ stopping: 1 }).where('keeper_id', '=', keeperId).execute();
      });
    }
    if (stored.length > 0) await this.#takeUp(heartbeat, stored);
    // After what was stored: a piece that is in both was found bad after it was stored.
    await this.#takeBad(heartbeat, bad);
    this.#wishForReport(keeperId);
    // A tracker that is behind its keepers orders nothing to be deleted, and nothing to be copied either.
    if (guard.regressed || heartbeat.stopping) return [];
    return tasks.handOut(keeperId, heartbeat.freeTaskSlots);
  }

  /** Those of a keeper that come while earlier ones are written down are taken up in one transaction. */
  #takeUp(source: PieceSource, stored: readonly PieceSummary[]): Promise<void> {
    return this.#arrivals.add(`${source.keeperId} ${source.storageId}`, stored, (pieces) =>
      this.#takeUpNow(source, pieces),
    );
  }

  async #takeUpNow(source: PieceSource, stored: readonly PieceSummary[]): Promise<void> {
    const { store, clock, logger, membership, inFlight, runs, events, onRepairNews } = this.#parts;
    const { keeperId } = source;
    // Of two keepers with one name, which one has it? The report of the one that is left will tell.
    if (isDoubtful(membership, keeperId)) return;
    const distinct = [...new Map(stored.map((piece) => [piece.chunkId, piece])).values()];
    // Most were in a commit already: those cost no sync.
    const news = await store.read((snapshot) => newsIn(snapshot, keeperId, distinct));
    if (news.length === 0) return;
    const whyThere = (chunkId: string): string => {
      const copy = inFlight.get(chunkId, keeperId);
      return copy ? (copy.because ?? '') : reasons.reported;
    };
    const { unknown, mismatched, copied } = await store.mutate(async (tx) => {
      const adopted = await adopt(tx, source, news, { whyThere, writtenAtUnixMs: clock.wallMs() });
      const { found, lost } = adopted;
      for (const event of [...foundChunks(keeperId, found), ...lostChunks(keeperId, lost)]) {
        await events.record(tx, event);
      }
      const copies = adopted.durable.flatMap((chunkId) => inFlight.get(chunkId, keeperId) ?? []);
      const bytes = copies.reduce((sum, copy) => sum + copy.pieceBytes, 0);
      if (copies.length > 0) await runs.count(tx, copies.length, bytes);
      return { ...adopted, copied: { copies: copies.length, bytes } };
    });
    if (copied.copies > 0) runs.note(copied.copies, copied.bytes);
    if (unknown.length + mismatched > 0) {
      logger.warn('a keeper stored pieces that fit no chunk; they are left alone', {
        keeperId,
        unknown: unknown.length,
        mismatched,
      });
    }
    onRepairNews();
  }

  /** One page of the full report. @throws HoldfastError NOT_REGISTERED, INVALID_ARGUMENT, METADATA_REGRESSED */
  async report(identity: KeeperIdentity, page: ReportPage): Promise<void> {
    const { guard, membership, reports, onRepairNews } = this.#parts;
    this.#assertCurrent(identity);
    guard.assertWritable();
    if (!(await reports.take(page))) return;
    membership.markReported(identity);
    this.#scheduleReport(identity.keeperId);
    await this.#settleIdentity(identity.keeperId);
    onRepairNews();
  }

  #scheduleReport(keeperId: string): void {
    const { clock, random, reportIntervalMs } = this.#parts;
    // Spread, or all keepers that were started together would report together for ever.
    const inMs = reportIntervalMs * (0.75 + 0.5 * random.fraction());
    this.#reportDueMs.set(keeperId, clock.monotonicMs() + inMs);
  }

  /** Now and then each keeper tells anew all that it has: what is lost without a word is found, and leftovers go. */
  #wishForReport(keeperId: string): void {
    const { store, clock, reports } = this.#parts;
    if (clock.monotonicMs() < (this.#reportDueMs.get(keeperId) ?? Infinity)) return;
    if (reports.requireSince(keeperId, store.transactionId)) this.#scheduleReport(keeperId);
  }

  /** A start of a keeper was heard that is not the registered one: alone that is nothing, both alive are a conflict. */
  async #hearRival(sign: KeeperIdentity & RivalSign): Promise<void> {
    const { store, clock, membership, reports, events, logger, onRepairNews } = this.#parts;
    const { keeperId } = sign;
    const conflict = membership.hearRival(sign, clock.monotonicMs());
    if (!conflict) return;
    logger.error('two keepers have one identity', { keeperId, conflict: conflict.text });
    const { text, hadLease } = conflict;
    const since = hadLease ? reports.registeredAt(keeperId) : undefined;
    await store.mutate(async (tx) => {
      await events.record(tx, { kind: 'identity-conflict', subject: keeperId, text });
      if (since !== undefined) await recordDoubtful(tx, keeperId, since);
    });
    // What the registered one really has counts, and what only the other one has does not.
    reports.requireSince(keeperId, store.transactionId);
    onRepairNews();
  }

  async #settleIdentity(keeperId: string): Promise<void> {
    const { store, membership, events, logger } = this.#parts;
    if (!membership.settleIdentity(keeperId)) return;
    const address = membership.get(keeperId)?.address ?? '';
    const text = `only the keeper at ${address} is left, and what it has was counted anew; it takes new pieces again`;
    logger.info('an identity is beyond doubt again', { keeperId, address });
    await store.mutate((tx) =>
      events.record(tx, { kind: 'identity-conflict-over', subject: keeperId, text }),
    );
  }

  /** How a task ended; a task that is not known any more is fine. @throws HoldfastError NOT_REGISTERED */
  async completeTask(outcome: TaskOutcome): Promise<void> {
    const { tasks, inFlight, guard, logger } = this.#parts;
    const { keeperId } = outcome.identity;
    this.#assertCurrent(outcome.identity);
    const task = tasks.find(keeperId, outcome.taskId);
    if (outcome.error) {
      logger.warn('a keeper could not do a task', {
        keeperId,
        task: task?.action.kind ?? 'unknown',
        error: outcome.error.message,
      });
    }
    if (outcome.receipt) await this.#takeReceipt(outcome.receipt);
    if (outcome.trashedChunkIds.length > 0 && !guard.regressed) await this.#forgetTrashed(outcome);
    if (task?.action.kind === 'scrub') this.#parts.onScrubEnded(keeperId, outcome.error);
    if (task?.action.kind === 'fetch') inFlight.complete(task.action.chunkId, keeperId);
    if (task?.action.kind === 'verify' && outcome.error) {
      await this.#takeBad(outcome.identity, [{ chunkId: task.action.chunkId, error: outcome.error }]);
    }
    // Last: an outcome that could not be written down will be told again.
    if (task) tasks.complete(task);
    this.#parts.onRepairNews();
  }

  async #takeReceipt(receipt: Receipt): Promise<void> {
    const { membership, identity } = this.#parts;
    const piece = {
      chunkId: receipt.chunkId,
      lengthBytes: receipt.lengthBytes,
      digest: receipt.digest.toString('hex'),
    };
    // A keeper speaks for itself only; adopting checks the bytes against the chunk's.
    if (receiptFits(receipt, piece, membership, identity)) await this.#takeUp(receipt, [piece]);
  }

  /** The tombstones have done their work. */
  async #forgetTrashed({ identity: { keeperId }, trashedChunkIds }: TaskOutcome): Promise<void> {
    const { store, events } = this.#parts;
    await store.mutate(async (tx) => {
      const lost = await recordTrashed(tx, keeperId, trashedChunkIds);
      for (const event of lostChunks(keeperId, lost)) await events.record(tx, event);
    });
  }

  /** Pieces that their own keeper finds bad or gone do not count any more. */
  async #takeBad(source: PieceSource, bad: readonly BadPiece[]): Promise<void> {
    const { store, guard, events, logger, onRepairNews } = this.#parts;
    // A tracker that is behind its keepers takes nothing off; its successor gets a full report.
    if (guard.regressed || !bad.some(({ error }) => saysBad(error))) return;
    const { keeperId } = source;
    const found = await store.mutate(async (tx) => {
      const taken = await recordBadPieces(tx, source, bad);
      const told = taken.map(({ chunkId, error }) => ({ chunkId, why: error.message }));
      await this.#badPieces.record(tx, keeperId, told);
      const lost = taken.filter(({ countedLeft }) => countedLeft === 0);
      const unreadable = { chunks: lost.length, example: lost[0]?.chunkId ?? '' };
      for (const event of lostChunks(keeperId, unreadable)) await events.record(tx, event);
      return taken;
    });
    if (found.length === 0) return;
    for (const { chunkId, error } of found) {
      logger.warn('a keeper found a piece of its own bad', { keeperId, chunkId, reason: error.message });
    }
    for (const { chunkId } of found.filter(({ knownLeft }) => knownLeft === 0)) {
      logger.error("every copy of a chunk is bad; what is left of it is in the keepers' quarantine", {
        chunkId,
      });
    }
    onRepairNews();
  }

  /** Judges every lease. To be called every second. */
  async tick(): Promise<void> {
    await this.apply(this.#parts.membership.tick(this.#parts.clock.monotonicMs()));
    await this.#badPieces.tick();
  }

  /** A change of state that somebody else brought about; applied with the next ones. */
  noteTransition(transition: KeeperTransition): void {
    this.#unapplied.push(transition);
  }

  /** Makes the metadata and the tasks agree with changes of state; what fails is done at the next tick. */
  async apply(transitions: readonly KeeperTransition[]): Promise<void> {
    this.#unapplied.push(...transitions);
    for (let next = this.#unapplied.shift(); next; next = this.#unapplied.shift()) {
      try {
        await this.#applyOne(next);
      } catch (error) {
        this.#unapplied.unshift(next);
        throw error;
      }
    }
  }

  async #applyOne({ keeperId, from, to }: KeeperTransition): Promise<void> {
    const { store, membership, events, logger, onRepairNews } = this.#parts;
    logger[to === 'dead' ? 'warn' : 'info']('a keeper changed state', { keeperId, from, to });
    if (to === 'dead') {
      this.dropOrders(keeperId);
    }
    const event = describeTransition({ keeperId, from, to });
    if (to === 'dead' || from === 'dead') {
      await store.mutate(async (tx) => {
        await events.record(tx, event);
        // As it is now: the keeper may have come back while this change waited for its turn.
        if (!membership.isCounted(keeperId)) return markDead(tx, events, keeperId);
        const found = foundChunks(keeperId, await markAlive(tx, events, keeperId));
        for (const each of found) await events.record(tx, each);
      });
    } else {
      // Nothing but the event: a store that cannot take it must not cost the keeper its heartbeat.
      await store
        .mutate((tx) => events.record(tx, event))
        .catch((error: unknown) => {
          logger.warn('cannot write an event down', { event: event.text, error });
        });
    }
    onRepairNews();
  }

  /** Forgets what a keeper was to do, and what others cannot do any more without it. */
  dropOrders(keeperId: string): void {
    const { tasks, inFlight } = this.#parts;
    tasks.dropKeeper(keeperId);
    for (const copy of inFlight.dropKeeper(keeperId)) tasks.withdrawFetch(copy.targetKeeperId, copy.chunkId);
  }

  #assertCurrent(identity: KeeperIdentity): void {
    const known = this.#parts.membership.get(identity.keeperId);
    const isCurrent =
      known !== undefined &&
      known.lastHeardMs !== null &&
      known.storageId === identity.storageId &&
      known.incarnation === identity.incarnation;
    if (!isCurrent) throw notRegistered();
  }
}

const whatItMeans: Readonly<Record<KeeperState, string>> = {
  live: 'is there and takes pieces',
  suspect: 'is silent; it takes no new pieces',
  maintenance: 'stops on purpose and is waited for',
  dead: 'is gone; its pieces do not count and are copied elsewhere',
};

/** A start of a keeper that is known is told by its change of state. */
function describeJoining({ keeperId, address }: KeeperRegistration): NewEvent {
  return { kind: 'keeper-joined', subject: keeperId, text: `a new keeper joined at ${address}` };
}

/** A new keeper where another one with pieces was last seen (membership/displaced.ts): whoever else is at the address. */
async function describeDisplaced(
  { db }: MetadataTransaction,
  { keeperId, address }: KeeperRegistration,
): Promise<NewEvent[]> {
  const before = await db
    .selectFrom('keepers')
    .innerJoin('piece_counts', 'piece_counts.keeper_id', 'keepers.keeper_id')
    .select(['keepers.keeper_id', 'pieces'])
    .where('address', '=', address)
    .where('keepers.keeper_id', '!=', keeperId)
    .where('state', '=', 'durable')
    .where('pieces', '>', 0)
    .execute();
  return before.map((old) => ({
    kind: 'keeper-displaced',
    subject: keeperId,
    text:
      `the new keeper is at ${address}, where keeper ${old.keeper_id} with ${plural(old.pieces, 'piece')} was: ` +
      displacedRemedy,
  }));
}

function describeTransition({ keeperId, from, to }: KeeperTransition): NewEvent {
  if (to === 'live' && from === 'dead') {
    return {
      kind: 'keeper-live',
      subject: keeperId,
      text: 'the keeper is back; the pieces that it has count again',
    };
  }
  return { kind: `keeper-${to}`, subject: keeperId, text: `the keeper ${whatItMeans[to]}` };
}

function rowOf(registration: KeeperRegistration) {
  return {
    keeper_id: registration.keeperId,
    storage_id: registration.storageId,
    incarnation: registration.incarnation,
    address: registration.address,
    zone: registration.zone,
    total_bytes: registration.capacity.totalBytes,
    used_bytes: registration.capacity.usedBytes,
    free_bytes: registration.capacity.freeBytes,
    software_version: registration.softwareVersion,
    stopping: 0,
    dead: 0,
  };
}

function stillOnTheBooks(): HoldfastError {
  return new HoldfastError(
    'UNAVAILABLE',
    "what the keeper's earlier storage had is being taken off the books",
    {
      remedy: 'Wait: it may register when that is done, after some seconds for each 100,000 pieces.',
      retryAfterMs: 500,
    },
  );
}

function justForgotten(): HoldfastError {
  return new HoldfastError('UNAVAILABLE', 'the keeper was forgotten while it registered', {
    remedy: 'Register again: it joins as a new keeper.',
    retryAfterMs: 500,
  });
}

function notRegistered(): HoldfastError {
  return new HoldfastError('NOT_REGISTERED', 'the tracker does not know this start of the keeper', {
    remedy: 'Call RegisterKeeper first.',
  });
}

function refusal(
  verdict:
    | { outcome: 'stale-incarnation'; knownIncarnation: number }
    | { outcome: 'too-many-keepers'; limit: number },
): HoldfastError {
  if (verdict.outcome === 'too-many-keepers') {
    return new HoldfastError(
      'LIMIT_EXCEEDED',
      `the tracker knows ${verdict.limit} keepers, the most it takes`,
    );
  }
  return new HoldfastError(
    'STALE_EPOCH',
    `a later start of the keeper (incarnation ${verdict.knownIncarnation}) has registered`,
    { remedy: 'Two keepers may run from copies of one data directory: stop one and empty its directory.' },
  );
}
