/**
 * Emptying a keeper: it takes no new pieces, repair copies what it has elsewhere and trims it there, and the job
 * watches until nothing is left.
 *
 * The failure it answers: a machine that is taken away because a count said zero, while a piece that arrived late
 * was on it alone. So zero is not believed: the keeper is asked to report all that it has once more, and the job is
 * done when it is zero after that. And a drain that cannot end (no keeper left to copy to) says so at once. A keeper
 * that is gone cannot be asked, and need not be: it is empty enough once every chunk that it had is whole without it.
 *
 * Nothing moves here: that the keeper is being emptied is a property of it, and repair keeps to it.
 */
import type { Clock } from '@holdfast/shared';
import type { Membership } from '../membership/membership.js';
import type { FullReports } from '../registry/full-report.js';
import type { EventLog } from '../events/event-log.js';
import { plural } from '../events/words.js';
import { markDraining } from '../registry/keeper-changes.js';
import { pageOfPieces } from '../registry/piece-pages.js';
import { isNeededAgain, queueForRepair } from '../registry/pieces.js';
import { loadChunks } from '../repair/load-chunks.js';
import type { Repair } from '../repair/repair.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import type { Job, JobRunner, JobStep } from './job.js';

/** How many of the remaining chunks are looked at to say what keeps them. */
const lookedAt = 100;
/** A count of what a dead keeper's chunks lack is good for this many times as long as it took. */
const countShare = 20;

export interface DrainParts {
  readonly clock: Clock;
  readonly events: EventLog;
  readonly store: MetadataStore;
  readonly membership: Membership;
  readonly reports: FullReports;
  readonly repair: Repair;
}

interface Left {
  /** Pieces that count. */
  readonly durable: number;
  /** Pieces that the keeper is still to trash. */
  readonly garbage: number;
  /** Pieces of uploads that have not ended: written or not, a commit may count them. */
  readonly planned: number;
  /** Of a keeper that is gone: pieces of chunks that are not whole without them; undefined while that is not known. */
  readonly lacking: number | undefined;
}

export class Drain implements JobRunner {
  readonly kind = 'drain';
  readonly #parts: DrainParts;
  /** The jobs whose keeper was asked to report again; forgotten with the tracker, as all keepers report then. */
  readonly #recounting = new Map<string, number>();
  /** By job: what was counted last, and for how long that is good enough. */
  readonly #counts = new Map<string, { readonly left: Left; readonly untilMs: number }>();

  constructor(parts: DrainParts) {
    this.#parts = parts;
  }

  async begin(tx: MetadataTransaction, keeperIds: readonly string[]): Promise<void> {
    for (const keeperId of keeperIds) await this.#setDraining(tx, keeperId, true);
  }

  async cancel(tx: MetadataTransaction, job: Job): Promise<string> {
    tx.onCommit(() => this.#forget(job.jobId));
    const [keeperId = ''] = job.keeperIds;
    const keeper = await tx.db
      .selectFrom('keepers')
      .select('draining')
      .where('keeper_id', '=', keeperId)
      .executeTakeFirst();
    // A later job of another operator keeps it.
    if (keeper?.draining !== 1 || (await hasLaterDrain(tx, keeperId, job))) return '';
    await this.#setDraining(tx, keeperId, false);
    return 'the keeper takes pieces again';
  }

  async step(job: Job): Promise<JobStep> {
    const { membership, reports } = this.#parts;
    const [keeperId = ''] = job.keeperIds;
    const keeper = membership.get(keeperId);
    if (!keeper) return { ended: 'failed', text: 'the keeper is not known any more' };
    if (keeper.state === 'dead') return this.#stepOfDead(job);
    // Before the count: a report that ends after it may have brought something.
    const since = this.#recounting.get(job.jobId);
    const isRecounted = since !== undefined && reports.requireSince(keeperId, since);
    const left = await this.#parts.store.read((snapshot) => count(snapshot, keeperId));
    const expected = Math.max(job.expected, left.durable);
    const progress = { expected, done: expected - left.durable };
    if (left.durable > 0) {
      this.#recounting.delete(job.jobId);
      const what = `${progress.done} of ${expected} pieces are elsewhere`;
      const why =
        keeper.state === 'maintenance'
          ? 'the keeper stopped on purpose and is waited for'
          : await this.#whatKeeps(keeperId);
      return { ...progress, text: why === '' ? what : `${what}; ${why}` };
    }
    if (left.planned > 0) {
      const theirs = `${pieces(left.planned)} ${belong(left.planned)} to uploads that have not ended`;
      return { ...progress, text: `every piece of a file is elsewhere; ${theirs}` };
    }
    // A storage that cannot be written keeps them for ever.
    if (left.garbage > 0 && keeper.storageError === null) {
      const text = `every piece is elsewhere; ${pieces(left.garbage)} wait to be trashed there`;
      return { ...progress, text };
    }
    return { ...progress, ...this.#recount(job.jobId, keeperId, left.garbage, isRecounted) };
  }

  /** Nothing is left by the records; by the keeper's own word? */
  #recount(jobId: string, keeperId: string, garbage: number, isRecounted: boolean): JobStep {
    const { store, reports } = this.#parts;
    if (!isRecounted) {
      const since = this.#recounting.get(jobId) ?? store.transactionId;
      this.#recounting.set(jobId, since);
      reports.requireSince(keeperId, since);
      return { text: 'every piece is elsewhere; waiting for the keeper to report once more what it has' };
    }
    this.#recounting.delete(jobId);
    const unknown = reports.completeOf(keeperId)?.unknown ?? 0;
    const rest = unknown > 0 ? `; ${pieces(unknown)} that no file uses are left on it` : '';
    if (garbage > 0) {
      const stay = `${pieces(garbage)} that it does not need stay on it, as its storage cannot be written`;
      return { ended: 'done', text: `the keeper can be taken away by its own report; ${stay}${rest}` };
    }
    return { ended: 'done', text: `the keeper is empty by its own report and can be taken away${rest}` };
  }

  /** Looking through a queue of a million chunks takes a while: the longer it takes, the seldomer. */
  async #count(jobId: string, keeperId: string): Promise<Left> {
    const { store, clock } = this.#parts;
    const startedMs = clock.monotonicMs();
    const known = this.#counts.get(jobId);
    if (known && (known.left.lacking ?? known.left.durable) > 0 && startedMs < known.untilMs)
      return known.left;
    const left = await store.read((snapshot) => count(snapshot, keeperId));
    const nowMs = clock.monotonicMs();
    this.#counts.set(jobId, { left, untilMs: nowMs + countShare * (nowMs - startedMs) });
    return left;
  }

  #forget(jobId: string): void {
    this.#recounting.delete(jobId);
    this.#counts.delete(jobId);
  }

  /** Its pieces stay on record until it is forgotten: what counts is whether their chunks are whole without them. */
  async #stepOfDead(job: Job): Promise<JobStep> {
    const [keeperId = ''] = job.keeperIds;
    this.#recounting.delete(job.jobId);
    const left = await this.#count(job.jobId, keeperId);
    if (left.lacking === undefined)
      return { text: 'the keeper is gone: what it had is being looked through for what has to be copied' };
    const expected = Math.max(job.expected, left.durable);
    const progress = { expected, done: expected - left.lacking };
    if (left.lacking > 0) {
      const what = `the keeper is gone: ${left.lacking} of ${plural(expected, 'chunk')} that it had ${left.lacking === 1 ? 'lacks' : 'lack'} copies elsewhere, made from other keepers`;
      const why = await this.#whatKeeps(keeperId, true);
      return { ...progress, text: why === '' ? what : `${what}; ${why}` };
    }
    if (left.planned > 0) {
      const theirs = `${pieces(left.planned)} ${belong(left.planned)} to uploads that have not ended`;
      return {
        ...progress,
        text: `the keeper is gone, and every chunk of a file is whole without it; ${theirs}`,
      };
    }
    this.#forget(job.jobId);
    const text =
      'the keeper is gone, and every chunk that it had has all its copies on others: it can be forgotten; ' +
      'should it come back, it is emptied on';
    return { ...progress, ended: 'done', text };
  }

  /** What keeps the first of the chunks that are still there, if anything does. */
  async #whatKeeps(keeperId: string, isGone = false): Promise<string> {
    const { store, repair } = this.#parts;
    const { chunks, open, unqueued } = await store.read(async (snapshot) => {
      const chunkIds = await firstChunks(snapshot, keeperId, isGone);
      const live = await loadChunks(snapshot, chunkIds);
      const queue = await snapshot.db
        .selectFrom('repair_queue')
        .select('chunk_id')
        .where('chunk_id', 'in', chunkIds)
        .execute();
      const known = new Set(queue.map((row) => row.chunk_id));
      return {
        chunks: live,
        open: chunkIds.length - live.length,
        unqueued: live.filter((chunk) => !known.has(chunk.chunkId)).map((chunk) => chunk.chunkId),
      };
    });
    if (unqueued.length > 0) await store.mutate((tx) => queueForRepair(tx, unqueued));
    const blocked = repair.explain(chunks);
    if (blocked !== '') return `waits: ${blocked}`;
    return chunks.length === 0 && open > 0
      ? `${pieces(open)} ${belong(open)} to uploads that have not ended`
      : '';
  }

  async #setDraining(tx: MetadataTransaction, keeperId: string, draining: boolean): Promise<void> {
    await markDraining(tx, this.#parts.events, keeperId, draining);
    tx.onCommit(() => this.#parts.membership.setDraining(keeperId, draining));
  }
}

function pieces(amount: number): string {
  return plural(amount, 'piece');
}

function belong(amount: number): string {
  return amount === 1 ? 'belongs' : 'belong';
}

async function count(snapshot: MetadataSnapshot, keeperId: string): Promise<Left> {
  const rows = await snapshot.db
    .selectFrom('piece_counts')
    .select(['state', 'pieces'])
    .where('keeper_id', '=', keeperId)
    .execute();
  const of = (state: string): number => rows.find((row) => row.state === state)?.pieces ?? 0;
  return {
    durable: of('durable'),
    garbage: of('garbage'),
    planned: of('planned'),
    lacking: await countLacking(snapshot, keeperId),
  };
}

/** undefined unless the metadata knows that the keeper is gone, and all that lacks a piece is in the queue. */
async function countLacking({ db }: MetadataSnapshot, keeperId: string): Promise<number | undefined> {
  const dead = await db
    .selectFrom('keepers')
    .select(['keeper_id', 'queued_through'])
    .where('dead', '=', 1)
    .execute();
  if (!dead.some((keeper) => keeper.keeper_id === keeperId)) return undefined;
  // Also of others that died: what was whole without this one may not be without them.
  if (dead.some((keeper) => keeper.queued_through !== null)) return undefined;
  // The queue is short when little lacks a piece.
  const { lacking } = await lackingOn(db, keeperId)
    .select(({ fn }) => fn.countAll<number>().as('lacking'))
    .executeTakeFirstOrThrow();
  return lacking;
}

/** The pieces of a keeper that is gone whose chunks are not whole without it. */
function lackingOn(db: MetadataSnapshot['db'], keeperId: string) {
  return db
    .selectFrom('repair_queue')
    .innerJoin('pieces', (join) =>
      join
        .onRef('pieces.chunk_id', '=', 'repair_queue.chunk_id')
        .on('pieces.keeper_id', '=', keeperId)
        .on('pieces.state', '=', 'durable'),
    )
    .where('below_policy', '=', 1)
    .where(isNeededAgain);
}

/** Of a keeper that `isGone` only those that lack a piece without it. */
async function firstChunks(snapshot: MetadataSnapshot, keeperId: string, isGone: boolean): Promise<string[]> {
  const rows = isGone
    ? await lackingOn(snapshot.db, keeperId)
        .select('pieces.chunk_id')
        .orderBy('pieces.chunk_id')
        .limit(lookedAt)
        .execute()
    : await pageOfPieces(snapshot, keeperId, '', lookedAt).execute();
  return rows.map((row) => row.chunk_id);
}

async function hasLaterDrain(tx: MetadataTransaction, keeperId: string, job: Job): Promise<boolean> {
  const later = await tx.db
    .selectFrom('jobs')
    .select('job_id')
    .where('kind', '=', 'drain')
    .where('keeper_ids', '=', JSON.stringify([keeperId]))
    .where('started_transaction_id', '>', job.startedTransactionId)
    .where('state', 'in', ['running', 'done'])
    .executeTakeFirst();
  return later !== undefined;
}
