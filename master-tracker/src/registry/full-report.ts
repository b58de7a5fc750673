/**
 * Full reports: what a keeper really has against what the metadata says it has.
 *
 * The failure it answers: pieces that vanished while nobody looked (a wiped file, a restored disk), and pieces
 * that exist but that the metadata never heard of or forgot.
 *
 * A report comes in pages in order of chunk id, so each page tells all about one range of ids: it is reconciled
 * when it arrives, and no report is ever held in memory. Pieces that became durable after this start of the
 * keeper registered may be younger than the list the keeper reports from: their absence proves nothing.
 */
import { HoldfastError, type Logger } from '@holdfast/shared';
import type { EventLog } from '../events/event-log.js';
import type { KeeperIdentity } from '../membership/keeper.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { type PieceSummary, adopt } from './adopt.js';
import { badReport, foundChunks, lostChunks } from './piece-events.js';
import { type Unreadable, recordLost } from './pieces.js';

/** How many pieces one transaction may find lost: about 50 ms. */
const maxLostPerTransaction = 1_000;
/** After every id. */
const end = 'g';

export interface ReportPage extends KeeperIdentity {
  readonly reportId: string;
  readonly page: number;
  readonly pieces: readonly PieceSummary[];
  readonly last: boolean;
}

interface RunningReport {
  readonly reportId: string;
  nextPage: number;
  /** The last chunk id that was reconciled. */
  through: string;
  done: boolean;
  /** The last transaction before this start of the keeper registered. */
  readonly before: number;
  readonly totals: { pieces: number; unknown: number; mismatched: number; lost: number };
  /** Chunks that cannot be read since this report, and such that can again. */
  readonly unreadable: { chunks: number; example: string };
  readonly readable: { chunks: number; example: string };
}

export class FullReports {
  readonly #store: MetadataStore;
  readonly #logger: Logger;
  readonly #events: EventLog;
  /** By keeper: one report at a time. */
  readonly #running = new Map<string, RunningReport>();
  /** By keeper: the start that is to report, and the last transaction before it registered. */
  readonly #expected = new Map<string, { readonly start: KeeperIdentity; readonly before: number }>();
  /** By keeper: settles when the page that came last was taken or refused. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(store: MetadataStore, logger: Logger, events: EventLog) {
    this.#events = events;
    this.#store = store;
    this.#logger = logger;
  }

  /** A start of a keeper has registered: what is durable by now, its report must list. */
  begin(start: KeeperIdentity): void {
    this.#running.delete(start.keeperId);
    this.#expected.set(start.keeperId, { start, before: this.#store.transactionId });
  }

  /**
   * Reconciles a page; true when the report is complete. Asking again with the last page is fine, also while it
   * is being taken: the pages of a keeper are taken one after the other.
   *
   * @throws HoldfastError INVALID_ARGUMENT for a page out of order, NOT_REGISTERED for one of an earlier start
   */
  take(page: ReportPage): Promise<boolean> {
    const turn = (this.#turns.get(page.keeperId) ?? Promise.resolve()).then(() => this.#takeNext(page));
    this.#turns.set(
      page.keeperId,
      turn.catch(() => undefined),
    );
    return turn;
  }

  async #takeNext(page: ReportPage): Promise<boolean> {
    const report = this.#position(page);
    if (!report) return this.#running.get(page.keeperId)?.done ?? false;
    checkOrder(page.pieces, report.through);
    const { keeperId, pieces } = page;
    const adopted = await this.#store.mutate((tx) => adopt(tx, page, pieces));
    report.totals.pieces += pieces.length;
    report.totals.unknown += adopted.unknown;
    report.totals.mismatched += adopted.mismatched;
    add(report.unreadable, adopted.lost);
    add(report.readable, adopted.found);
    const upTo = page.last ? end : (pieces.at(-1)?.chunkId ?? report.through);
    report.totals.lost += await this.#dropMissing(page, report, upTo);
    report.through = upTo;
    report.nextPage += 1;
    report.done = page.last;
    if (report.done) await this.#conclude(keeperId, report);
    return report.done;
  }

  /** The report that the page goes on with, or undefined for a page that was taken before. */
  #position(page: ReportPage): RunningReport | undefined {
    const expected = this.#expected.get(page.keeperId);
    if (expected?.start.storageId !== page.storageId || expected.start.incarnation !== page.incarnation) {
      throw new HoldfastError(
        'NOT_REGISTERED',
        'the page waited until another start of the keeper registered',
      );
    }
    const known = this.#running.get(page.keeperId);
    if (known?.reportId === page.reportId) {
      if (page.page === known.nextPage && !known.done) return known;
      if (page.page === known.nextPage - 1) return undefined;
    }
    if (page.page !== 0) {
      throw new HoldfastError('INVALID_ARGUMENT', `page ${page.page} of the report is out of order`, {
        remedy: 'Begin the report again with page 0.',
      });
    }
    const totals = { pieces: 0, unknown: 0, mismatched: 0, lost: 0 };
    const { before } = expected;
    const report: RunningReport = {
      ...{ reportId: page.reportId, nextPage: 0, through: '', done: false, before, totals },
      unreadable: { chunks: 0, example: '' },
      readable: { chunks: 0, example: '' },
    };
    this.#running.set(page.keeperId, report);
    return report;
  }

  /** Finds lost what the metadata has in the range and the page does not; a bounded number at a time. */
  async #dropMissing(page: ReportPage, report: RunningReport, through: string): Promise<number> {
    const reported = new Set(page.pieces.map((piece) => piece.chunkId));
    let lost = 0;
    for (let from = report.through; ;) {
      const start = from;
      const rows = await this.#store.read(({ db }) =>
        db
          .selectFrom('pieces')
          .select('chunk_id')
          .where('keeper_id', '=', page.keeperId)
          .where('state', '=', 'durable')
          .where('chunk_id', '>', start)
          .where('chunk_id', '<=', through)
          .where('since_transaction_id', '<=', report.before)
          .orderBy('chunk_id')
          .limit(maxLostPerTransaction)
          .execute(),
      );
      const missing = rows.map((row) => row.chunk_id).filter((chunkId) => !reported.has(chunkId));
      if (missing.length > 0) {
        add(report.unreadable, await this.#store.mutate((tx) => recordLost(tx, page.keeperId, missing)));
        lost += missing.length;
      }
      const last = rows.at(-1);
      if (!last || rows.length < maxLostPerTransaction) return lost;
      from = last.chunk_id;
    }
  }

  /** Tells of the whole report at once: page by page, a wiped disk would be hundreds of events. */
  async #conclude(keeperId: string, report: RunningReport): Promise<void> {
    const { totals } = report;
    const told = [
      ...badReport(keeperId, totals.lost, totals.mismatched),
      ...lostChunks(keeperId, report.unreadable),
      ...foundChunks(keeperId, report.readable),
    ];
    if (told.length > 0) {
      const telling = this.#store.mutate(async (tx) => {
        for (const event of told) await this.#events.record(tx, event);
      });
      // What it tells of is done, and the report is whole: a store that cannot take the event must not undo that.
      await telling.catch((error: unknown) => {
        this.#logger.warn('cannot write events down', { events: told.map(({ text }) => text), error });
      });
    }
    const isNews = totals.lost > 0 || totals.unknown > 0 || totals.mismatched > 0;
    this.#logger[isNews ? 'warn' : 'info']('a keeper has reported all its pieces', { keeperId, ...totals });
  }
}

function add(sum: { chunks: number; example: string }, more: Unreadable): void {
  sum.chunks += more.chunks;
  sum.example ||= more.example;
}

function checkOrder(pieces: readonly PieceSummary[], through: string): void {
  let before = through;
  for (const { chunkId } of pieces) {
    if (chunkId <= before) {
      throw new HoldfastError('INVALID_ARGUMENT', 'the pieces of a report must be in order of chunk_id');
    }
    before = chunkId;
  }
}
