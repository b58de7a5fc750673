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
import type { Membership } from '../membership/membership.js';
import type { TaskBoard } from '../registry/task-board.js';
import type { MetadataSnapshot, MetadataStore } from '../store/metadata-store.js';
import { CopyBudget } from './copy-budget.js';
import type { InFlightTable } from './in-flight.js';
import { type QueuedChunk, loadChunks } from './load-chunks.js';
import { isBraked, planRepair } from './repair-planner.js';
import { blockedInWords, unconfirmedInWords } from './repair-summary.js';
import type { PlannedCopy, RepairChunk, RepairKeeper, RepairLimits, RepairView } from './repair-view.js';
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
}

type Cursor = { readonly piecesLeft: number; readonly chunkId: string } | undefined;

export class Repair {
  readonly #parts: RepairParts;
  #cursor: Cursor;
  #lastSummary = '';
  readonly #trimmer: Trimmer;

  constructor(parts: RepairParts) {
    this.#parts = parts;
    this.#trimmer = new Trimmer({
      ...parts,
      keepers: () => new Map(this.#keepers().map((keeper) => [keeper.keeperId, keeper])),
      isSafeMode: () => !this.#knowsWhoIsThere(),
    });
  }

  /** One page of the queue; true if there is more behind it. */
  async step(): Promise<boolean> {
    const { store, clock, guard, tasks, inFlight, logger } = this.#parts;
    const nowMs = clock.monotonicMs();
    for (const copy of inFlight.expire(nowMs)) tasks.withdrawFetch(copy.targetKeeperId, copy.chunkId);
    if (guard.regressed) return false;
    const from = this.#cursor;
    const { chunks, next } = await store.read((snapshot) => pageOfQueue(snapshot, from));
    this.#cursor = next;
    if (chunks.length === 0) return false;
    const plan = planRepair(this.#view(chunks));
    const byId = new Map(chunks.map((chunk) => [chunk.chunkId, chunk]));
    for (const copy of plan.copies) this.#order(copy, byId.get(copy.chunkId), nowMs);
    if (plan.healthyChunkIds.length > 0) await this.#takeOff(plan.healthyChunkIds);
    await this.#trimmer.step(chunks, plan.surplusChunkIds);
    if (plan.summary.text !== this.#lastSummary) logger.info(`repair: ${plan.summary.text}`);
    this.#lastSummary = plan.summary.text;
    return next !== undefined;
  }

  /** True if pieces may be moved for no need: it is known who is there, and not many keepers were lost just now. */
  isCalm(): boolean {
    return this.#knowsWhoIsThere() && !isBraked(this.#view([]));
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
    const { membership, inFlight, clock } = this.#parts;
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
    this.#order(copy, chunk, clock.monotonicMs());
    if (!inFlight.list().some((each) => each.chunkId === chunk.chunkId)) return false;
    budget.charge(copy);
    this.#trimmer.moves.set(chunk.chunkId, move.fromKeeperId);
    return true;
  }

  forgetMove(chunkId: string): void {
    this.#trimmer.moves.delete(chunkId);
  }

  /** Those of the chunks that are not as they should be; none in safe mode. */
  offPolicy(chunks: readonly RepairChunk[]): string[] {
    const view = this.#view(chunks);
    if (view.safeMode) return [];
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

  #order(copy: PlannedCopy, chunk: QueuedChunk | undefined, startedMs: number): void {
    const { tasks, inFlight } = this.#parts;
    if (!chunk || inFlight.add({ ...copy, startedMs }) !== 'added') return;
    const posted = tasks.post(copy.targetKeeperId, {
      kind: 'fetch',
      chunkId: copy.chunkId,
      lengthBytes: chunk.lengthBytes,
      digest: chunk.digest,
      sourceKeeperIds: copy.sourceKeeperIds,
    });
    if (!posted) inFlight.complete(copy.chunkId, copy.targetKeeperId);
  }

  /** Looked at again in the transaction: a piece may have been lost since the page was read. */
  async #takeOff(chunkIds: readonly string[]): Promise<void> {
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

  #view(chunks: readonly RepairChunk[]): RepairView {
    const { clock, random, inFlight, limits } = this.#parts;
    return {
      nowMs: clock.monotonicMs(),
      safeMode: !this.#knowsWhoIsThere(),
      chunks,
      keepers: this.#keepers(),
      inFlight: inFlight.list(),
      limits,
      random: () => random.fraction(),
    };
  }

  /**
   * False right after the tracker's start: until each keeper was heard of, or its lease has run out, what looks
   * missing may only be late. Lasts deadAfterMs at most.
   */
  #knowsWhoIsThere(): boolean {
    return this.#parts.membership
      .list()
      .every((keeper) => keeper.lastHeardMs !== null || keeper.state !== 'suspect');
  }

  #keepers(): RepairKeeper[] {
    const counts = this.#parts.inFlight.countsByKeeper();
    return this.#parts.membership.list().map((keeper) => ({
      keeperId: keeper.keeperId,
      zone: keeper.zone,
      state: keeper.state,
      deadSinceMs: keeper.deadSinceMs,
      totalBytes: keeper.capacity.totalBytes,
      freeBytes: keeper.capacity.freeBytes,
      reservedBytes: keeper.reservedBytes,
      storageWritable: keeper.storageError === null,
      draining: keeper.draining,
      reported: keeper.reported,
      copiesAsTarget: counts.get(keeper.keeperId)?.asTarget ?? 0,
      copiesAsSource: counts.get(keeper.keeperId)?.asSource ?? 0,
    }));
  }
}

/** The next chunks of the queue in its order, and where the page after them begins; undefined for the first one. */
async function pageOfQueue(
  snapshot: MetadataSnapshot,
  cursor: Cursor,
): Promise<{ chunks: QueuedChunk[]; next: Cursor }> {
  let query = snapshot.db
    .selectFrom('repair_queue')
    .select(['chunk_id', 'pieces_left'])
    .orderBy('pieces_left')
    .orderBy('chunk_id')
    .limit(pageSize);
  if (cursor) {
    query = query.where((eb) =>
      eb.or([
        eb('pieces_left', '>', cursor.piecesLeft),
        eb.and([eb('pieces_left', '=', cursor.piecesLeft), eb('chunk_id', '>', cursor.chunkId)]),
      ]),
    );
  }
  const rows = await query.execute();
  const last = rows.length < pageSize ? undefined : rows.at(-1);
  return {
    chunks: await loadChunks(
      snapshot,
      rows.map((row) => row.chunk_id),
    ),
    next: last && { piecesLeft: last.pieces_left, chunkId: last.chunk_id },
  };
}
