/**
 * Repair: takes a page of the queue, has the planner decide, and posts the copies as tasks for their targets.
 *
 * The queue is durable and holds every chunk that may be below its policy; the planner takes off what it finds
 * complete, so a keeper that comes back ends its own repair. Each step looks at one page, the chunks with the
 * fewest pieces first, and goes on behind it in the next step: chunks that cannot be repaired now do not keep
 * others waiting.
 */
import type { Clock, Logger, Random } from '@holdfast/shared';
import type { RegressionGuard } from '../cluster/regression.js';
import type { Membership } from '../membership/membership.js';
import type { TaskBoard } from '../registry/task-board.js';
import type { MetadataSnapshot, MetadataStore } from '../store/metadata-store.js';
import type { InFlightTable } from './in-flight.js';
import { planRepair } from './repair-planner.js';
import type { PlannedCopy, RepairChunk, RepairKeeper, RepairLimits } from './repair-view.js';

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

interface QueuedChunk extends RepairChunk {
  readonly digest: string;
  readonly piecesLeft: number;
}

type Cursor = { readonly piecesLeft: number; readonly chunkId: string } | undefined;

export class Repair {
  readonly #parts: RepairParts;
  #cursor: Cursor;
  #lastSummary = '';

  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** One page of the queue; true if there is more behind it. */
  async step(): Promise<boolean> {
    const { store, clock, random, guard, tasks, inFlight, limits, logger } = this.#parts;
    const nowMs = clock.monotonicMs();
    for (const copy of inFlight.expire(nowMs)) tasks.withdrawFetch(copy.targetKeeperId, copy.chunkId);
    if (guard.regressed) return false;
    const from = this.#cursor;
    const chunks = await store.read((snapshot) => pageOfQueue(snapshot, from));
    const last = chunks.length < pageSize ? undefined : chunks.at(-1);
    this.#cursor = last && { piecesLeft: last.piecesLeft, chunkId: last.chunkId };
    if (chunks.length === 0) return false;
    const plan = planRepair({
      nowMs,
      safeMode: !this.#knowsWhoIsThere(),
      chunks,
      keepers: this.#keepers(),
      inFlight: inFlight.list(),
      limits,
      random: () => random.fraction(),
    });
    const byId = new Map(chunks.map((chunk) => [chunk.chunkId, chunk]));
    for (const copy of plan.copies) this.#order(copy, byId.get(copy.chunkId), nowMs);
    if (plan.healthyChunkIds.length > 0) await this.#takeOff(plan.healthyChunkIds);
    if (plan.summary.text !== this.#lastSummary) logger.info(`repair: ${plan.summary.text}`);
    this.#lastSummary = plan.summary.text;
    return last !== undefined;
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
            .having((eb) => eb(eb.fn.count('pieces.keeper_id'), '>=', eb.ref('chunks.pieces'))),
        )
        .execute();
    });
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
      copiesAsTarget: counts.get(keeper.keeperId)?.asTarget ?? 0,
      copiesAsSource: counts.get(keeper.keeperId)?.asSource ?? 0,
    }));
  }
}

async function pageOfQueue({ db }: MetadataSnapshot, cursor: Cursor): Promise<QueuedChunk[]> {
  let query = db
    .selectFrom('repair_queue')
    .innerJoin('chunks', 'chunks.chunk_id', 'repair_queue.chunk_id')
    .select(['repair_queue.chunk_id', 'pieces_left', 'length', 'digest', 'pieces'])
    .orderBy('pieces_left')
    .orderBy('repair_queue.chunk_id')
    .limit(pageSize);
  if (cursor) {
    // Compared as a pair, the index leads straight to it; with "or", all that was passed is looked at again.
    query = query.where((eb) =>
      eb(
        eb.refTuple('pieces_left', 'repair_queue.chunk_id'),
        '>',
        eb.tuple(cursor.piecesLeft, cursor.chunkId),
      ),
    );
  }
  const rows = await query.execute();
  if (rows.length === 0) return [];
  const pieces = await db
    .selectFrom('pieces')
    .select(['chunk_id', 'keeper_id'])
    .where(
      'chunk_id',
      'in',
      rows.map((row) => row.chunk_id),
    )
    .where('state', '=', 'durable')
    .execute();
  const byChunk = new Map<string, string[]>();
  for (const piece of pieces) {
    byChunk.set(piece.chunk_id, [...(byChunk.get(piece.chunk_id) ?? []), piece.keeper_id]);
  }
  return rows.map((row) => ({
    chunkId: row.chunk_id,
    piecesLeft: row.pieces_left,
    lengthBytes: row.length ?? 0,
    digest: row.digest ?? '',
    policy: { pieces: row.pieces, needed: 1, minWrite: 1 },
    pieces: (byChunk.get(row.chunk_id) ?? []).map((keeperId) => ({
      keeperId,
      pieceIndex: 0,
      state: 'durable' as const,
    })),
  }));
}
