/**
 * Emptying a keeper: it takes no new pieces, repair copies what it has elsewhere and trims it there, and the job
 * watches until nothing is left.
 *
 * The failure it answers: a machine that is taken away because a count said zero, while a piece that arrived late
 * was on it alone. So zero is not believed: the keeper is asked to report all that it has once more, and the job is
 * done when it is zero after that. And a drain that cannot end (no keeper left to copy to) says so at once.
 *
 * Nothing moves here: that the keeper is being emptied is a property of it, and repair keeps to it.
 */
import type { Membership } from '../membership/membership.js';
import type { FullReports } from '../registry/full-report.js';
import type { EventLog } from '../events/event-log.js';
import { plural } from '../events/words.js';
import { markDraining } from '../registry/keeper-changes.js';
import { pageOfPieces } from '../registry/piece-pages.js';
import { queueForRepair } from '../registry/pieces.js';
import { loadChunks } from '../repair/load-chunks.js';
import type { Repair } from '../repair/repair.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import type { Job, JobRunner, JobStep } from './job.js';

/** How many of the remaining chunks are looked at to say what keeps them. */
const lookedAt = 100;

export interface DrainParts {
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
}

export class Drain implements JobRunner {
  readonly kind = 'drain';
  readonly #parts: DrainParts;
  /** The jobs whose keeper was asked to report again; forgotten with the tracker, as all keepers report then. */
  readonly #recounting = new Map<string, number>();

  constructor(parts: DrainParts) {
    this.#parts = parts;
  }

  async begin(tx: MetadataTransaction, keeperIds: readonly string[]): Promise<void> {
    for (const keeperId of keeperIds) await this.#setDraining(tx, keeperId, true);
  }

  async cancel(tx: MetadataTransaction, job: Job): Promise<void> {
    this.#recounting.delete(job.jobId);
    for (const keeperId of job.keeperIds) {
      // A later job of another operator keeps it.
      if (await hasLaterDrain(tx, keeperId, job)) continue;
      await this.#setDraining(tx, keeperId, false);
    }
  }

  async step(job: Job): Promise<JobStep> {
    const { membership, reports } = this.#parts;
    const [keeperId = ''] = job.keeperIds;
    const keeper = membership.get(keeperId);
    if (!keeper) return { ended: 'failed', text: 'the keeper is not known any more' };
    // Before the count: a report that ends after it may have brought something.
    const since = this.#recounting.get(job.jobId);
    const isRecounted = since !== undefined && reports.requireSince(keeperId, since);
    const left = await this.#parts.store.read((snapshot) => count(snapshot, keeperId));
    const expected = Math.max(job.expected, left.durable);
    const progress = { expected, done: expected - left.durable };
    if (keeper.state === 'dead') return { ...progress, text: await this.#ofDead(keeperId) };
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

  async #ofDead(keeperId: string): Promise<string> {
    const chunkIds = await this.#parts.store.read((snapshot) => firstChunks(snapshot, keeperId));
    if (chunkIds.length === 0) return 'the keeper is gone, and nothing is recorded on it: forget it';
    return 'the keeper is gone: what it had is copied from the other keepers; once it is, forget it';
  }

  /** What keeps the first of the chunks that are still there, if anything does. */
  async #whatKeeps(keeperId: string): Promise<string> {
    const { store, repair } = this.#parts;
    const { chunks, open, unqueued } = await store.read(async (snapshot) => {
      const chunkIds = await firstChunks(snapshot, keeperId);
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
    // Inside the transaction, as those come one after the other: what is in memory then ends as the metadata does.
    this.#parts.membership.setDraining(keeperId, draining);
  }
}

function pieces(amount: number): string {
  return plural(amount, 'piece');
}

function belong(amount: number): string {
  return amount === 1 ? 'belongs' : 'belong';
}

async function count({ db }: MetadataSnapshot, keeperId: string): Promise<Left> {
  const rows = await db
    .selectFrom('piece_counts')
    .select(['state', 'pieces'])
    .where('keeper_id', '=', keeperId)
    .execute();
  const of = (state: string): number => rows.find((row) => row.state === state)?.pieces ?? 0;
  return { durable: of('durable'), garbage: of('garbage'), planned: of('planned') };
}

async function firstChunks(snapshot: MetadataSnapshot, keeperId: string): Promise<string[]> {
  const rows = await pageOfPieces(snapshot, keeperId, '', lookedAt).execute();
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
