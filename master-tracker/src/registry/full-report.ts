/**
 * Full reports: what a keeper really has against what the metadata says it has.
 *
 * The failure it answers: pieces that vanished while nobody looked (a wiped file, a restored disk), and pieces
 * that exist but that the metadata never heard of or forgot.
 *
 * A keeper reports after each registration, and again when it is asked to (`requireSince`). A report comes in pages
 * in order of chunk id, so each page tells all about one range of ids: it is reconciled when it arrives, and no
 * report is ever held in memory. Pieces that became durable after the registration, or the question, may be younger
 * than the list the keeper reports from: their absence proves nothing. A keeper that reports unasked sends an empty page
 * before it begins to list: what it trashes meanwhile may be in the list, and its tombstones must outlast the report.
 */
import { HoldfastError, type Logger, type Random, newId } from '@holdfast/shared';
import type { EventLog } from '../events/event-log.js';
import type { KeeperIdentity } from '../membership/keeper.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { type PieceSummary, adopt } from './adopt.js';
import { badReport, foundChunks, lostChunks } from './piece-events.js';
import { pageOfPieces } from './piece-pages.js';
import { type Unreadable, recordLost } from './pieces.js';
import type { UnknownPieces } from './unknown-pieces.js';

/** How many pieces one transaction may find lost: about 50 ms. */
const maxLostPerTransaction = 1_000;
/** After every id. */
const end = 'g';

export interface ReportPage extends KeeperIdentity {
  readonly reportId: string;
  readonly page: number;
  readonly pieces: readonly PieceSummary[];
  readonly last: boolean;
  /** The wish that it answers, or ''. */
  readonly wantedReport: string;
}

interface RunningReport {
  readonly reportId: string;
  nextPage: number;
  /** The last chunk id that was reconciled. */
  through: string;
  done: boolean;
  /** The last transaction before the keeper began to list what it has: see CompleteReport. */
  readonly before: number;
  /** Whether what it names and nobody knows may be taken for leftovers. */
  readonly judges: boolean;
  readonly totals: { pieces: number; unknown: number; mismatched: number; lost: number };
  /** Chunks that cannot be read since this report, and such that can again. */
  readonly unreadable: { chunks: number; example: string };
  readonly readable: { chunks: number; example: string };
}

/** What a keeper's last whole report said. */
export interface CompleteReport {
  /** It lists everything that was durable as of this transaction. */
  readonly before: number;
  readonly pieces: number;
  /** Of chunks that the metadata does not know. */
  readonly unknown: number;
  /** With other bytes than their chunk's. */
  readonly mismatched: number;
  /** That the metadata had and the keeper has not. */
  readonly lost: number;
}

interface Expected {
  readonly start: KeeperIdentity;
  /** The last transaction before this start registered. */
  readonly before: number;
  /** The report that the keeper is asked for beyond the one that follows its registration. */
  asked: { readonly wantedReport: string; readonly before: number } | undefined;
}

export interface FullReportsParts {
  readonly store: MetadataStore;
  readonly logger: Logger;
  readonly random: Random;
  readonly events: EventLog;
  readonly unknown: UnknownPieces;
}

export class FullReports {
  readonly #store: MetadataStore;
  readonly #logger: Logger;
  readonly #events: EventLog;
  /** By keeper: one report at a time. */
  readonly #running = new Map<string, RunningReport>();
  /** By keeper: the start that is to report. */
  readonly #expected = new Map<string, Expected>();
  /** By keeper: the last whole report of that start. */
  readonly #complete = new Map<string, CompleteReport>();
  /** By keeper: settles when the page that came last was taken or refused. */
  readonly #turns = new Map<string, Promise<unknown>>();

  readonly #random: Random;
  readonly #unknown: UnknownPieces;
  #pagesTaken = 0;

  constructor({ store, logger, random, events, unknown }: FullReportsParts) {
    this.#events = events;
    this.#store = store;
    this.#logger = logger;
    this.#random = random;
    this.#unknown = unknown;
  }

  /** Pages that were reconciled since the tracker's start: while it grows, reports are on their way. */
  get pagesTaken(): number {
    return this.#pagesTaken;
  }

  /** A start of a keeper has registered: what is durable by now, its report must list. */
  begin(start: KeeperIdentity): void {
    this.#running.delete(start.keeperId);
    this.#complete.delete(start.keeperId);
    this.#expected.set(start.keeperId, { start, before: this.#store.transactionId, asked: undefined });
  }

  /** The last transaction before the start of the keeper that is known registered; undefined if none did. */
  registeredAt(keeperId: string): number | undefined {
    return this.#expected.get(keeperId)?.before;
  }

  /** The last whole report of the start that is registered; undefined before there is one. */
  completeOf(keeperId: string): CompleteReport | undefined {
    return this.#complete.get(keeperId);
  }

  /**
   * True if the keeper has told all that it has in a report that covers `transactionId`. If not, it is asked for one
   * with its next heartbeat, unless one is on its way: ask here again until it is there.
   */
  requireSince(keeperId: string, transactionId: number): boolean {
    const complete = this.#complete.get(keeperId);
    if (complete && complete.before >= transactionId) return true;
    const expected = this.#expected.get(keeperId);
    // The one that follows a registration comes by itself.
    if (expected && complete) {
      expected.asked ??= { wantedReport: newId(this.#random), before: this.#store.transactionId };
    }
    return false;
  }

  /** What the keeper is to be told that is wanted of it; '' for nothing. */
  askedOf(keeperId: string): string {
    return this.#expected.get(keeperId)?.asked?.wantedReport ?? '';
  }

  /**
   * True while a report is being taken, or is asked for and may have begun: what the keeper says in it may be older
   * than what it did meanwhile, and its first page may take it longer than any other word.
   */
  isRunning(keeperId: string): boolean {
    return this.#running.get(keeperId)?.done === false || this.askedOf(keeperId) !== '';
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
    const adopted = await this.#store.mutate(async (tx) => {
      const adoption = await adopt(tx, page, pieces);
      if (report.judges) await this.#unknown.note(tx, page, adoption.unknown);
      return adoption;
    });
    report.totals.pieces += pieces.length;
    report.totals.unknown += adopted.unknown.length;
    report.totals.mismatched += adopted.mismatched;
    add(report.unreadable, adopted.lost);
    add(report.readable, adopted.found);
    const upTo = page.last ? end : (pieces.at(-1)?.chunkId ?? report.through);
    report.totals.lost += await this.#dropMissing(page, report, upTo);
    // Before the page counts as taken: a page that could not be concluded is asked for again.
    if (page.last) {
      if (report.judges) await this.#unknown.conclude(page, report.totals.pieces);
      await this.#conclude(keeperId, report);
    }
    report.through = upTo;
    report.nextPage += 1;
    report.done = page.last;
    this.#pagesTaken += 1;
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
    // Only what answers the question is known to have begun after it.
    const { before } = expected.asked?.wantedReport === page.wantedReport ? expected.asked : expected;
    const judges = this.#unknown.mayJudge(page.keeperId);
    const report: RunningReport = {
      ...{ reportId: page.reportId, nextPage: 0, through: '', done: false, before, judges, totals },
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
      const rows = await this.#store.read((snapshot) =>
        pageOfPieces(snapshot, page.keeperId, start, maxLostPerTransaction)
          .where('chunk_id', '<=', through)
          .where('since_transaction_id', '<=', report.before)
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
    const { totals, before } = report;
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
    this.#complete.set(keeperId, { before, ...totals });
    const expected = this.#expected.get(keeperId);
    if (expected?.asked && expected.asked.before <= before) expected.asked = undefined;
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
