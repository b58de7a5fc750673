/**
 * When repair began and when it was done, as events: the story of a loss with its beginning, its end, and what it
 * took.
 *
 * The failure it answers: "it healed by itself last night" that nobody can check. And the opposite: a log full of
 * beginnings and ends, because every upload that a slow keeper made late is a repair of a second.
 *
 * So a run is told of at once when something was lost, and when chunks have waited for a while else. From then on it
 * has a row, in which its copies are counted in the transactions that make them count, until the queue is empty: the
 * story goes on over restarts.
 */
import type { Clock } from '@holdfast/shared';
import type { EventLog } from '../events/event-log.js';
import { bytesInWords, durationInWords, plural } from '../events/words.js';
import { keeperName } from '../membership/keeper-name.js';
import type { Membership } from '../membership/membership.js';
import { isLoss, whyMissingInWords } from '../registry/reasons.js';
import { mayLackPieces } from '../registry/keeper-changes.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { CopyRate } from './copy-rate.js';

/** Chunks that were only written late are complete within seconds; what lasts longer is worth an event. */
const quietForMs = 60_000;

const rowId = 1;

export interface RepairRunsParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly events: EventLog;
  readonly membership: Membership;
}

export class RepairRuns {
  readonly #parts: RepairRunsParts;
  /** How fast copies arrive. */
  readonly rate = new CopyRate();
  /** Whether there is a row; undefined until it was looked for. */
  #told: boolean | undefined;
  /** Since when chunks wait without an event about it, and what was done meanwhile. */
  #quiet: { readonly sinceMs: number; copies: number; bytes: number } | undefined;

  constructor(parts: RepairRunsParts) {
    this.#parts = parts;
  }

  /** Chunks wait, some of them for these reasons (registry/reasons.ts). */
  async waiting(because: readonly string[]): Promise<void> {
    if (await this.#isTold()) return;
    const nowMs = this.#parts.clock.monotonicMs();
    this.#quiet ??= { sinceMs: nowMs, copies: 0, bytes: 0 };
    const loss = because.find(isLoss);
    if (loss === undefined && nowMs - this.#quiet.sinceMs < quietForMs) return;
    const { copies, bytes } = this.#quiet;
    const { store, clock, events } = this.#parts;
    await store.mutate(async (tx) => {
      const { chunks } = await tx.db
        .selectFrom('repair_queue')
        .select(({ fn }) => fn.countAll<number>().as('chunks'))
        .where('below_policy', '=', 1)
        .executeTakeFirstOrThrow();
      const startedAt = { id: rowId, started_at_unix_ms: clock.wallMs() };
      await tx.db
        .insertInto('repair_run')
        .values({ ...startedAt, copies, bytes })
        .execute();
      const why = whyMissingInWords(loss ?? because[0] ?? '', (keeperId) =>
        keeperName(this.#parts.membership, keeperId),
      );
      const text = `${plural(chunks, 'chunk waits', 'chunks wait')} for copies${why === '' ? '' : `: ${why}`}`;
      await events.record(tx, { kind: 'repair-started', subject: '', text });
    });
    this.#told = true;
    this.#quiet = undefined;
  }

  /** Counts copies that become durable in this transaction. */
  async count(tx: MetadataTransaction, copies: number, bytes: number): Promise<void> {
    await tx.db
      .updateTable('repair_run')
      .set((eb) => ({ copies: eb('copies', '+', copies), bytes: eb('bytes', '+', bytes) }))
      .where('id', '=', rowId)
      .execute();
  }

  /** Notes copies that have become durable. */
  note(copies: number, bytes: number): void {
    this.rate.note(this.#parts.clock.monotonicMs(), bytes);
    if (!this.#quiet) return;
    this.#quiet.copies += copies;
    this.#quiet.bytes += bytes;
  }

  /** No chunk waits any more, as far as was seen: looked at again in the transaction that says so. */
  async nothingWaits(): Promise<void> {
    this.#quiet = undefined;
    if (!(await this.#isTold())) return;
    const { store, clock, events } = this.#parts;
    const ended = await store.mutate(async (tx) => {
      if (await mayLackPieces(tx)) return false;
      const run = await tx.db
        .selectFrom('repair_run')
        .selectAll()
        .where('id', '=', rowId)
        .executeTakeFirstOrThrow();
      await tx.db.deleteFrom('repair_run').where('id', '=', rowId).execute();
      const made = `${plural(run.copies, 'copy', 'copies')}, ${bytesInWords(run.bytes)}`;
      // By the wall clock, which may have been set back meanwhile: for people only.
      const took = durationInWords(clock.wallMs() - run.started_at_unix_ms);
      const text = `no chunk waits for a copy any more: ${made}, in ${took}`;
      await events.record(tx, { kind: 'repair-finished', subject: '', text });
      return true;
    });
    if (ended) this.#told = false;
  }

  async #isTold(): Promise<boolean> {
    this.#told ??= await this.#parts.store.read(
      async ({ db }) => (await db.selectFrom('repair_run').select('id').executeTakeFirst()) !== undefined,
    );
    return this.#told;
  }
}
