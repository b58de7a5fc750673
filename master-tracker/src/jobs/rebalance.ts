/**
 * Evening out how full the keepers are, in rounds: count what each has, decide, move, count again.
 *
 * The failure it answers: what keepers say of their disks is late and includes their trash, so a plan by that goes
 * on moving long after it is enough. So the books are made of the metadata, and what moves is entered at once; and
 * as uploads and deletions go on meanwhile, it is the next count that says whether it is done.
 *
 * A move is a copy like any of repair's, within the same limits; with it the chunk has a piece too many, which is
 * then trimmed where it is to go from. A crash in between leaves what repair puts right. Rounds are in memory: after
 * a restart a new one begins with what is really there.
 */
import type { Membership } from '../membership/membership.js';
import { pageOfPieces } from '../registry/piece-pages.js';
import { loadChunks } from '../repair/load-chunks.js';
import type { CopyBudget } from '../repair/copy-budget.js';
import type { QueuedChunk } from '../repair/load-chunks.js';
import type { Repair } from '../repair/repair.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import type { Job, JobRunner, JobStep } from './job.js';
import { Balance, type PlannedMove } from './rebalance-planner.js';

/** Pieces that one query counts: about 10 ms. */
const countedPerStep = 5_000;
/** Pieces that one step looks at for a move: about 5 ms. */
const lookedAtPerStep = 500;
/** Moves whose chunks have a piece too many still: those cost room, and an operator who cancels wants it back soon. */
const maxMoving = 500;

export interface RebalanceParts {
  readonly store: MetadataStore;
  readonly membership: Membership;
  readonly repair: Repair;
}

interface Counted {
  bytes: number;
  pieces: number;
}

interface Counting {
  readonly phase: 'counting';
  readonly relaxed: boolean;
  readonly keeperIds: readonly string[];
  readonly counts: Map<string, Counted>;
  /** The keeper that is being counted, and the last of its chunks that was. */
  index: number;
  after: string;
}

interface Moving {
  readonly phase: 'moving';
  readonly relaxed: boolean;
  readonly balance: Balance;
  /** What the books ask for, in pieces of the usual size. */
  readonly pieces: number;
  /** The keepers that give, and how far each was looked through. */
  readonly sources: readonly string[];
  index: number;
  after: string;
  /** Moves that are not through yet, by chunk. */
  readonly moves: Map<string, PlannedMove>;
  moved: number;
  /** True if a piece stayed for something that passes: its chunk is being put right, or a keeper is to trash one. */
  deferred: boolean;
}

export class Rebalance implements JobRunner {
  readonly kind = 'rebalance';
  readonly #parts: RebalanceParts;
  /** By job: its round. */
  readonly #rounds = new Map<string, Counting | Moving>();

  constructor(parts: RebalanceParts) {
    this.#parts = parts;
  }

  cancel(tx: MetadataTransaction, job: Job): Promise<string> {
    tx.onCommit(() => this.#forget(job.jobId));
    return Promise.resolve('');
  }

  async step(job: Job): Promise<JobStep> {
    if (!this.#parts.repair.isCalm()) {
      return {
        text: 'waits: keepers were lost just now, or not all were heard of since the tracker started',
      };
    }
    const round = this.#rounds.get(job.jobId) ?? this.#begin(job.jobId, false);
    return round.phase === 'counting' ? this.#count(job, round) : this.#move(job, round);
  }

  #begin(jobId: string, relaxed: boolean): Counting {
    const keeperIds = this.#parts.membership
      .list()
      // Nobody can say how full a keeper is that does not answer.
      .filter(({ state, draining, storageError }) => state === 'live' && !draining && storageError === null)
      .map(({ keeperId }) => keeperId);
    const counts = new Map<string, Counted>();
    const round: Counting = { phase: 'counting', relaxed, keeperIds, counts, index: 0, after: '' };
    this.#rounds.set(jobId, round);
    return round;
  }

  async #count(job: Job, round: Counting): Promise<JobStep> {
    const keeperId = round.keeperIds[round.index];
    if (keeperId === undefined) return this.#decide(job, round);
    const page = await this.#parts.store.read((snapshot) => countPage(snapshot, keeperId, round.after));
    const before = round.counts.get(keeperId) ?? { bytes: 0, pieces: 0 };
    round.counts.set(keeperId, { bytes: before.bytes + page.bytes, pieces: before.pieces + page.pieces });
    round.after = page.last;
    if (page.pieces < countedPerStep) {
      round.index += 1;
      round.after = '';
    }
    return { more: true, text: `counts what ${round.keeperIds.length} keepers have` };
  }

  /** All is counted: it is even, or what is to move is known. */
  #decide(job: Job, { relaxed, counts, keeperIds }: Counting): JobStep {
    const keepers = keeperIds.flatMap((keeperId) => {
      const keeper = this.#parts.membership.get(keeperId);
      const { bytes: usedBytes = 0 } = counts.get(keeperId) ?? {};
      if (!keeper) return [];
      const { totalBytes, freeBytes } = keeper.capacity;
      const roomBytes = freeBytes - keeper.reservedBytes;
      return [{ keeperId, zone: keeper.zone, totalBytes, usedBytes, roomBytes }];
    });
    const balance = new Balance(keepers, { relaxed });
    const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
    if (balance.leastBytes === 0) {
      this.#forget(job.jobId);
      const text = `every keeper is within ${percent(balance.distance)} of the mean, ${percent(balance.meanShare)} used`;
      return { ended: 'done', expected: job.done, text };
    }
    const all = [...counts.values()];
    const pieceBytes =
      all.reduce((sum, each) => sum + each.bytes, 0) /
      Math.max(
        1,
        all.reduce((sum, each) => sum + each.pieces, 0),
      );
    const pieces = Math.ceil(balance.leastBytes / Math.max(1, pieceBytes));
    this.#rounds.set(job.jobId, {
      phase: 'moving',
      relaxed,
      balance,
      pieces,
      sources: balance.sources(),
      index: 0,
      after: '',
      moves: new Map(),
      moved: 0,
      deferred: false,
    });
    return {
      more: true,
      expected: job.done + pieces,
      text: `the keepers are up to ${percent(balance.distance)} from the mean, ${percent(balance.meanShare)} used`,
    };
  }

  async #move(job: Job, round: Moving): Promise<JobStep> {
    const through = await this.#settle(round);
    const done = job.done + through.pieces;
    const progress = {
      done,
      expected: Math.max(done, job.expected),
      doneBytes: job.doneBytes + through.bytes,
    };
    const isOver = await this.#orderMoves(round);
    if (!isOver || round.moves.size > 0) {
      return { ...progress, text: `${done} pieces were moved, ${round.moves.size} are on their way` };
    }
    if (round.moved > 0) {
      this.#begin(job.jobId, false);
      return { ...progress, more: true };
    }
    if (round.deferred) {
      this.#begin(job.jobId, round.relaxed);
      return { ...progress, text: 'waits until chunks are as they should be that are being put right' };
    }
    if (!round.relaxed) {
      this.#begin(job.jobId, true);
      return { ...progress, more: true };
    }
    this.#forget(job.jobId);
    return {
      ...progress,
      ended: 'failed',
      text:
        `it cannot be more even: the keepers are up to ${(100 * round.balance.distance).toFixed(1)} % from the mean, ` +
        'and no piece can go to an emptier keeper that has none of its chunk, nor is in the zone of one that has',
    };
  }

  /** Takes those moves out whose chunks have what they are to have again; counts those that came about. */
  async #settle({ moves }: Moving): Promise<Counted> {
    const { store, repair } = this.#parts;
    const chunks = await store.read((snapshot) => loadChunks(snapshot, [...moves.keys()]));
    const known = new Map(chunks.map((chunk) => [chunk.chunkId, chunk]));
    const through: Counted = { bytes: 0, pieces: 0 };
    for (const [chunkId, move] of moves) {
      if (repair.isCopying(chunkId)) continue;
      const chunk = known.get(chunkId);
      const hasArrived = chunk?.pieces.some((piece) => piece.keeperId === move.toKeeperId) ?? false;
      if (chunk && hasArrived && chunk.pieces.length > chunk.policy.pieces) continue;
      moves.delete(chunkId);
      repair.forgetMove(chunkId);
      if (!hasArrived) continue;
      through.bytes += move.lengthBytes;
      through.pieces += 1;
    }
    return through;
  }

  /** Orders what the limits allow now; true if nothing is left to be ordered in this round. */
  async #orderMoves(round: Moving): Promise<boolean> {
    const { store, repair } = this.#parts;
    const budget = repair.budget();
    for (let looked = 0; looked < lookedAtPerStep;) {
      const source = round.sources[round.index];
      if (source === undefined) return true;
      if (!round.balance.gives(source)) {
        round.index += 1;
        round.after = '';
        continue;
      }
      const isFull = round.moves.size >= maxMoving || budget.isSpent('badly-placed');
      if (isFull || !budget.maySend(source, 'badly-placed')) return false;
      const limit = Math.min(100, lookedAtPerStep - looked);
      const from = round.after;
      const chunks = await store.read((snapshot) => piecesOf(snapshot, source, from, limit));
      looked += limit;
      for (const chunk of chunks) {
        if (!budget.maySend(source, 'badly-placed')) return false;
        if (this.#orderMove(round, source, chunk, budget) === 'later') return false;
        round.after = chunk.chunkId;
      }
      if (chunks.length < limit) {
        round.index += 1;
        round.after = '';
      }
    }
    return false;
  }

  #orderMove(
    round: Moving,
    source: string,
    chunk: QueuedChunk,
    budget: CopyBudget,
  ): 'moved' | 'stays' | 'later' {
    const { membership, repair } = this.#parts;
    const { pieces, policy } = chunk;
    const isBeingPutRight = pieces.length > policy.pieces || repair.isCopying(chunk.chunkId);
    if (isBeingPutRight || (chunk.barredKeeperIds ?? []).length > 0) round.deferred = true;
    const isAsItShouldBe =
      pieces.length === policy.pieces && pieces.some((piece) => piece.keeperId === source);
    if (isBeingPutRight || !isAsItShouldBe) return 'stays';
    const holders = pieces.map(({ keeperId }) => ({
      keeperId,
      zone: membership.get(keeperId)?.zone ?? '',
    }));
    const { chunkId, lengthBytes, barredKeeperIds = [] } = chunk;
    const move = round.balance.move(source, { chunkId, lengthBytes, holders, barredKeeperIds }, (keeperId) =>
      budget.mayReceive(keeperId, 'badly-placed'),
    );
    if (move === 'later') return 'later';
    if (!move || !repair.orderMove(chunk, move, budget)) return 'stays';
    round.moves.set(chunkId, move);
    round.moved += 1;
    return 'moved';
  }

  #forget(jobId: string): void {
    const round = this.#rounds.get(jobId);
    if (round?.phase === 'moving')
      for (const chunkId of round.moves.keys()) this.#parts.repair.forgetMove(chunkId);
    this.#rounds.delete(jobId);
  }
}

async function countPage(
  snapshot: MetadataSnapshot,
  keeperId: string,
  after: string,
): Promise<{ bytes: number; pieces: number; last: string }> {
  const row = await snapshot.db
    .selectFrom(pageOfPieces(snapshot, keeperId, after, countedPerStep).as('page'))
    .innerJoin('chunks', 'chunks.chunk_id', 'page.chunk_id')
    .select(({ fn }) => [
      fn.sum<number | null>('chunks.length').as('bytes'),
      fn.countAll<number>().as('pieces'),
      fn.max<string | null>('page.chunk_id').as('last'),
    ])
    .executeTakeFirstOrThrow();
  return { bytes: row.bytes ?? 0, pieces: row.pieces, last: row.last ?? after };
}

async function piecesOf(
  snapshot: MetadataSnapshot,
  keeperId: string,
  after: string,
  limit: number,
): Promise<QueuedChunk[]> {
  const rows = await pageOfPieces(snapshot, keeperId, after, limit).execute();
  return loadChunks(
    snapshot,
    rows.map((row) => row.chunk_id),
  );
}
