/**
 * Repair: takes a page of the queue, has the planner decide, posts the copies as tasks for their targets, and gives
 * up pieces that are one too many.
 *
 * The queue is durable and holds every chunk that may be off its policy; the planner takes off what it finds as it
 * should be, so a keeper that comes back ends its own repair. Each step looks at one page, the chunks with the
 * fewest pieces first, and goes on behind it in the next step: chunks that cannot be repaired now do not keep
 * others waiting.
 */
import type { Clock, Logger, Random } from '@holdfast/shared';
import type { RegressionGuard } from '../cluster/regression.js';
import type { EventLog } from '../events/event-log.js';
import { keeperName } from '../membership/keeper-name.js';
import type { Membership } from '../membership/membership.js';
import { reasons } from '../registry/reasons.js';
import type { TaskBoard } from '../registry/task-board.js';
import type { MetadataSnapshot, MetadataStore } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { MetadataTables } from '../store/schema.js';
import { CopyBudget } from './copy-budget.js';
import type { InFlightCopy, InFlightTable } from './in-flight.js';
import { type QueuedChunk, loadChunks } from './load-chunks.js';
import { isBraked, planRepair } from './repair-planner.js';
import { RepairRate } from './repair-rate.js';
import type { RepairRuns } from './repair-runs.js';
import {
  RepairPass,
  type RepairStatus,
  type RepairStatusInput,
  type Standstill,
  describeRepair,
} from './repair-status.js';
import { blockedInWords, unconfirmedInWords } from './repair-summary.js';
import type {
  BlockReason,
  PlannedCopy,
  RepairChunk,
  RepairKeeper,
  RepairLimits,
  RepairPlan,
  RepairView,
} from './repair-view.js';
import { Trimmer } from './trimmer.js';

/** Enough to keep 100 keepers busy for a second; about 10 ms of work. */
const pageSize = 500;

export interface RepairParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly tasks: TaskBoard;
  readonly inFlight: InFlightTable;
  readonly limits: RepairLimits;
  readonly runs: RepairRuns;
  readonly events: EventLog;
  /** For each target, in bytes a second; 0 for no limit. Endangered chunks do not wait for it. */
  readonly repairRateBytesPerS: number;
}

/** What may be done about chunks now. */
export interface Prospects {
  /** Why nothing is copied at all. */
  readonly standstill: Standstill | undefined;
  /** The chunks that would get no copy now, and why. */
  readonly blocked: ReadonlyMap<string, BlockReason>;
}

type Cursor = { readonly piecesLeft: number; readonly chunkId: string } | undefined;

export class Repair {
  readonly #parts: RepairParts;
  readonly #pass = new RepairPass();
  #cursor: Cursor;
  /** The limits kept chunks of the last page waiting. */
  #isLimited = false;
  /** Whether a page of the pass that runs had chunks that lack pieces. */
  #passLacks = false;
  #lastSummary = '';
  /** As the last event said. */
  #braked = false;
  readonly #rate: RepairRate;
  readonly #trimmer: Trimmer;

  constructor(parts: RepairParts) {
    this.#parts = parts;
    this.#rate = new RepairRate(parts.repairRateBytesPerS);
    this.#trimmer = new Trimmer({
      ...parts,
      keepers: () => new Map(this.#keepers().map((keeper) => [keeper.keeperId, keeper])),
      isSafeMode: () => !parts.membership.knowsWhoIsThere(),
    });
  }

  /**
   * One page of the queue; true if there is more to do at once. Not where the limits kept chunks of the page waiting:
   * until a copy ends, which wakes the worker, or time fills a bucket, the pages behind it would be looked at for
   * nothing, all of a long queue again and again.
   */
  async step(): Promise<boolean> {
    const { store, clock, guard, tasks, inFlight, logger, runs } = this.#parts;
    const nowMs = clock.monotonicMs();
    for (const copy of inFlight.expire(nowMs)) tasks.withdrawFetch(copy.targetKeeperId, copy.chunkId);
    if (guard.regressed) return false;
    const from = this.#cursor;
    // Within the limits a pass takes its time: what has lost all but one piece since it began does not wait for it.
    if (this.#isLimited && (from?.piecesLeft ?? 0) > 1) {
      const { healthyChunkIds } = this.#orderCopies(await store.read(lastPieces), nowMs);
      await this.#takeOff(healthyChunkIds);
    }
    const page = await store.read((snapshot) => pageOfQueue(snapshot, from));
    const { chunks, lacking, next } = page;
    this.#cursor = next;
    const plan = this.#orderCopies(page, nowMs);
    this.#isLimited = plan.summary.blocked.budget > 0;
    await this.#noteBrake(plan.summary.braked);
    if (lacking.size > 0) await runs.waiting([...lacking.values()]);
    // Also for a page without chunks, which ends a queue of whole pages.
    this.#pass.add(plan.summary, next === undefined);
    this.#passLacks ||= lacking.size > 0;
    if (next === undefined) {
      if (!this.#passLacks) await runs.nothingWaits();
      this.#passLacks = false;
    }
    if (chunks.length === 0) return false;
    await this.#takeOff(plan.healthyChunkIds);
    await this.#trimmer.step(chunks, plan.surplusChunkIds);
    if (plan.summary.text !== this.#lastSummary) logger.info(`repair: ${plan.summary.text}`);
    this.#lastSummary = plan.summary.text;
    return next !== undefined && !this.#isLimited;
  }

  /** Ordered before anything is waited for: by then keepers may have come and gone. */
  #orderCopies({ chunks, lacking }: QueuePage, nowMs: number): RepairPlan {
    const plan = planRepair(this.#view(chunks));
    const byId = new Map(chunks.map((chunk) => [chunk.chunkId, chunk]));
    for (const copy of plan.copies) {
      this.#order({ ...copy, startedMs: nowMs, because: lacking.get(copy.chunkId) }, byId.get(copy.chunkId));
    }
    return plan;
  }

  /** True if pieces may be moved for no need: it is known who is there, and not many keepers were lost just now. */
  isCalm(): boolean {
    return this.#parts.membership.knowsWhoIsThere() && !isBraked(this.#view([]));
  }

  /** The books of the copies under way, for moves within the same limits. */
  budget(): CopyBudget {
    return new CopyBudget(this.#view([]));
  }

  /** True while a piece of the chunk is being copied. */
  isCopying(chunkId: string): boolean {
    return this.#parts.inFlight.list().some((copy) => copy.chunkId === chunkId);
  }

  /**
   * Orders a piece to be copied to another keeper, and remembers where the chunk is then to lose one; false if it
   * cannot be copied now. Forgetting where (`forgetMove`, a restart) is harmless: the trimmer chooses by itself.
   */
  orderMove(
    chunk: QueuedChunk,
    move: { readonly fromKeeperId: string; readonly toKeeperId: string },
    budget: CopyBudget,
  ): boolean {
    const { membership, clock } = this.#parts;
    const live = chunk.pieces
      .map((piece) => piece.keeperId)
      .filter((keeperId) => membership.get(keeperId)?.state === 'live');
    const sources = live.sort((a, b) => Number(b === move.fromKeeperId) - Number(a === move.fromKeeperId));
    if (sources.length === 0) return false;
    const copy: PlannedCopy = {
      chunkId: chunk.chunkId,
      pieceIndex: 0,
      pieceBytes: chunk.lengthBytes,
      targetKeeperId: move.toKeeperId,
      sourceKeeperIds: sources,
      sourcesNeeded: 1,
      urgency: 'badly-placed',
    };
    const because = reasons.rebalance(move.fromKeeperId);
    if (!this.#order({ ...copy, startedMs: clock.monotonicMs(), because }, chunk)) return false;
    budget.charge(copy);
    this.#trimmer.moves.set(chunk.chunkId, move.fromKeeperId);
    return true;
  }

  forgetMove(chunkId: string): void {
    this.#trimmer.moves.delete(chunkId);
  }

  /** Those of the chunks that are not as they should be; undefined in safe mode, as nobody can say. */
  offPolicy(chunks: readonly RepairChunk[]): string[] | undefined {
    const view = this.#view(chunks);
    if (view.safeMode) return undefined;
    const healthy = new Set(planRepair(view).healthyChunkIds);
    return chunks.map((chunk) => chunk.chunkId).filter((chunkId) => !healthy.has(chunkId));
  }

  /** What keeps these chunks from being put right now, in words; '' if nothing does. Orders nothing. */
  explain(chunks: readonly RepairChunk[]): string {
    const view = this.#view(chunks);
    if (view.safeMode) return 'nothing is moved until all keepers were heard of';
    const { surplusChunkIds, summary } = planRepair(view);
    const unconfirmed = surplusChunkIds.length - this.#trimmer.ready(chunks, surplusChunkIds).length;
    return [blockedInWords(summary), unconfirmedInWords(unconfirmed)]
      .filter((text) => text !== '')
      .join('; ');
  }

  /** What would be decided about chunks if they came next. Decides nothing. */
  prospects(chunks: readonly RepairChunk[]): Prospects {
    const { blocked } = planRepair({ ...this.#view(chunks), safeMode: false });
    return {
      standstill: this.#standstill(),
      blocked: new Map(blocked.map(({ chunkId, reason }) => [chunkId, reason])),
    };
  }

  /**
   * Chunks with two pieces in one zone although another one has room, as the last whole look at the queue found. Those
   * that nothing led to are not in the queue before the slow look over all chunks has come to them.
   */
  get badlyPlaced(): number {
    return this.#pass.found?.below['badly-placed'] ?? 0;
  }

  #standstill(): Standstill | undefined {
    if (this.#parts.guard.regressed) return 'regressed';
    return this.#parts.membership.knowsWhoIsThere() ? undefined : 'safe mode';
  }

  /** What repair is doing, given how the queue stands. */
  status(queue: Pick<RepairStatusInput, 'chunksQueued' | 'bytesMissing' | 'reasons'>): RepairStatus {
    const {
      repairRateBytesPerS: limitBytesPerSecond,
      clock,
      inFlight,
      limits,
      membership,
      runs,
    } = this.#parts;
    const nowMs = clock.monotonicMs();
    return describeRepair({
      ...queue,
      copiesInFlight: inFlight.size,
      bytesPerSecond: runs.rate.bytesPerSecond(nowMs),
      limitBytesPerSecond,
      braked: isBraked({ limits, keepers: this.#keepers(), nowMs }),
      standstill: this.#standstill(),
      found: this.#pass.found,
      name: (keeperId) => keeperName(membership, keeperId),
    });
  }

  /** False if it is under way already, or cannot be ordered now. */
  #order(copy: PlannedCopy & InFlightCopy, chunk: QueuedChunk | undefined): boolean {
    const { tasks, inFlight } = this.#parts;
    if (!chunk || inFlight.add(copy) !== 'added') return false;
    const posted = tasks.post(copy.targetKeeperId, {
      kind: 'fetch',
      chunkId: copy.chunkId,
      lengthBytes: chunk.lengthBytes,
      digest: chunk.digest,
      sourceKeeperIds: copy.sourceKeeperIds,
    });
    if (!posted) inFlight.complete(copy.chunkId, copy.targetKeeperId);
    else if (copy.urgency !== 'endangered') {
      this.#rate.take(copy.targetKeeperId, copy.pieceBytes, copy.startedMs);
    }
    return posted;
  }

  /** Looked at again in the transaction: a piece may have been lost since the page was read. */
  async #takeOff(chunkIds: readonly string[]): Promise<void> {
    if (chunkIds.length === 0) return;
    await this.#parts.store.mutate(async (tx) => {
      await tx.db
        .deleteFrom('repair_queue')
        .where('chunk_id', 'in', chunkIds)
        .where('chunk_id', 'in', (db) =>
          db
            .selectFrom('chunks')
            .innerJoin('pieces', (join) =>
              join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.state', '=', 'durable'),
            )
            .innerJoin('keepers', (join) =>
              join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
            )
            .select('chunks.chunk_id')
            .where('chunks.chunk_id', 'in', chunkIds)
            .groupBy(['chunks.chunk_id', 'chunks.pieces'])
            .having((eb) => eb(eb.fn.count('pieces.keeper_id'), '=', eb.ref('chunks.pieces')))
            .having((eb) => eb(eb.fn.sum('keepers.draining'), '=', 0)),
        )
        .execute();
    });
  }

  /** Tells operators when the brake takes hold and lets go. */
  async #noteBrake(braked: boolean): Promise<void> {
    if (braked === this.#braked) return;
    const { store, events, logger, limits } = this.#parts;
    const share = `more than ${limits.brakeShare * 100} % of the keepers vanished at once`;
    const text = braked
      ? `${share}: until some are back, only chunks without a copy to spare are copied`
      : 'the keepers that vanished at once are back or given up: all that lacks copies is copied again';
    logger.warn(`repair: ${text}`);
    const kind = braked ? 'repair-braked' : 'repair-released';
    await store.mutate((tx) => events.record(tx, { kind, subject: '', text }));
    this.#braked = braked;
  }

  #view(chunks: readonly RepairChunk[]): RepairView {
    const { clock, random, inFlight, limits, membership } = this.#parts;
    return {
      nowMs: clock.monotonicMs(),
      safeMode: !membership.knowsWhoIsThere(),
      chunks,
      keepers: this.#keepers(),
      inFlight: inFlight.list(),
      limits,
      random: () => random.fraction(),
    };
  }

  #keepers(): RepairKeeper[] {
    const nowMs = this.#parts.clock.monotonicMs();
    const counts = this.#parts.inFlight.countsByKeeper();
    const keepers = this.#parts.membership.list();
    const present = new Set(keepers.flatMap(({ state, address }) => (state === 'dead' ? [] : [address])));
    return keepers.map((keeper) => ({
      keeperId: keeper.keeperId,
      zone: keeper.zone,
      state: keeper.state,
      deadSinceMs: keeper.deadSinceMs,
      succeeded: keeper.state === 'dead' && present.has(keeper.address),
      totalBytes: keeper.capacity.totalBytes,
      freeBytes: keeper.capacity.freeBytes,
      reservedBytes: keeper.reservedBytes,
      storageWritable: keeper.storageError === null && keeper.identityConflict === null,
      draining: keeper.draining,
      reported: keeper.reported,
      copiesAsTarget: counts.get(keeper.keeperId)?.asTarget ?? 0,
      copiesAsSource: counts.get(keeper.keeperId)?.asSource ?? 0,
      clientStreams: keeper.activeStreams,
      rateLeftBytes: this.#rate.left(keeper.keeperId, nowMs),
    }));
  }
}

interface QueuePage {
  readonly chunks: QueuedChunk[];
  /** By id, why those lack pieces (registry/reasons.ts) that did when they were queued. */
  readonly lacking: ReadonlyMap<string, string>;
}

type QueueRow = Readonly<
  Pick<MetadataTables['repair_queue'], 'chunk_id' | 'pieces_left' | 'below_policy' | 'because'>
>;

async function load(snapshot: MetadataSnapshot, rows: readonly QueueRow[]): Promise<QueuePage> {
  return {
    chunks: await loadChunks(
      snapshot,
      rows.map((row) => row.chunk_id),
    ),
    lacking: new Map(rows.filter((row) => row.below_policy === 1).map((row) => [row.chunk_id, row.because])),
  };
}

/** A page of the front of the queue. */
function queueRows(db: MetadataSnapshot['db']) {
  return db
    .selectFrom('repair_queue')
    .select(['chunk_id', 'pieces_left', 'below_policy', 'because'])
    .orderBy('pieces_left')
    .orderBy('chunk_id')
    .limit(pageSize);
}

const queueFront = prepare((db) => queueRows(db));

// Compared as a pair, the index leads straight to it; with "or", all that was passed is looked at again.
const queueAfter = prepare((db, cursor: { piecesLeft: number; chunkId: string }) =>
  queueRows(db).where((eb) =>
    eb(eb.refTuple('pieces_left', 'chunk_id'), '>', eb.tuple(cursor.piecesLeft, cursor.chunkId)),
  ),
);

/** The first of the chunks that had one piece left when they were queued. */
async function lastPieces(snapshot: MetadataSnapshot): Promise<QueuePage> {
  return load(snapshot, await queueRows(snapshot.db).where('pieces_left', '=', 1).execute());
}

/** The next chunks of the queue in its order, and where the page after this one begins; undefined for the first one. */
async function pageOfQueue(
  snapshot: MetadataSnapshot,
  cursor: Cursor,
): Promise<QueuePage & { next: Cursor }> {
  const rows = cursor ? await snapshot.run(queueAfter, cursor) : await snapshot.run(queueFront, {});
  const last = rows.length < pageSize ? undefined : rows.at(-1);
  return {
    ...(await load(snapshot, rows)),
    next: last && { piecesLeft: last.pieces_left, chunkId: last.chunk_id },
  };
}
