/**
 * The check of the whole cluster: what must always hold, over the metadata and over what the keepers really have.
 *
 * The failure it answers: damage in the metadata is found when somebody needs the file. So everything that hangs
 * together is looked at, and the keepers are asked anew for all that they have, as records alone prove nothing.
 *
 * The promise: it changes nothing itself (reports that it asks for are reconciled as any other), works in pages of
 * bounded size, can go on after a restart from its cursor, and says what it did not look at.
 */
import type { Clock } from '@holdfast/shared';
import { plural } from '../events/words.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { checkChunks, checkPieces, checkQueue } from './chunks-check.js';
import { checkCounts } from './counts-check.js';
import { checkEntries } from './entries-check.js';
import { type CheckFinding, type CheckProgress, keepWorst } from './finding.js';
import { type KeepersCheckParts, checkKeepers, reportedSince } from './keepers-check.js';
import type { CheckTally, PageCheck, Position } from './page.js';
import { checkVersions } from './versions-check.js';

const pageChecks = {
  entries: checkEntries,
  versions: checkVersions,
  chunks: checkChunks,
  pieces: checkPieces,
  queue: checkQueue,
  counts: checkCounts,
} satisfies Record<string, PageCheck>;
type PagePhase = keyof typeof pageChecks;
const pagePhases = Object.keys(pageChecks) as PagePhase[];

/** Where a check stands. Survives JSON, and a restart of the tracker. */
export interface CheckCursor {
  readonly phase: 'reports' | PagePhase | 'keepers';
  readonly at: Position;
  /** The transaction that the keepers' reports must cover. */
  readonly since: number;
  readonly tally: CheckTally;
}

export interface CheckStep {
  /** Where to go on; undefined when the check is done. */
  readonly cursor: CheckCursor | undefined;
  readonly findings: readonly CheckFinding[];
  readonly progress: CheckProgress;
  /** There is nothing to do before this, as the keepers are reporting; 0: go on at once. */
  readonly nextInMs: number;
}

/** Keepers are waited for as long as a page of any of them comes within this: a page is 5,000 looks at a disk. */
const reportPatienceMs = 60_000;
/** Between two looks at whether the reports are in: as often as heartbeats come. */
const reportPollMs = 1_000;

export interface ClusterCheckParts extends KeepersCheckParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
}

export class ClusterCheck {
  readonly #parts: ClusterCheckParts;
  /** How many pages of reports there were when they were last seen to grow, and when that was. */
  #seen = { pages: -1, atMs: 0 };

  constructor(parts: ClusterCheckParts) {
    this.#parts = parts;
  }

  /** One page; begins anew without a cursor. */
  async step(cursor: CheckCursor | undefined): Promise<CheckStep> {
    const from = cursor ?? this.#begin();
    if (from.phase === 'reports') return this.#askKeepers(from);
    if (from.phase === 'keepers') return this.#end(from);
    const { phase, at, since, tally } = from;
    const reported = new Set(reportedSince(this.#parts, since).map(({ keeperId }) => keeperId));
    const page = await this.#parts.store.read((snapshot) => pageChecks[phase](snapshot, at, { reported }));
    const next: CheckCursor = {
      since,
      tally: add(tally, page.tally ?? {}),
      ...(page.next ? { phase, at: page.next } : { phase: phaseAfter(phase), at: [] }),
    };
    return { cursor: next, findings: page.findings, progress: this.#progress(next), nextInMs: 0 };
  }

  #begin(): CheckCursor {
    this.#seen = { pages: -1, atMs: 0 };
    const tally = { chunks: 0, incomplete: 0, pieces: 0, confirmed: 0 };
    return { phase: 'reports', at: [], since: this.#parts.store.transactionId, tally };
  }

  /** Has every live keeper tell anew what it has, and waits until all have or nothing more comes. */
  #askKeepers(cursor: CheckCursor): CheckStep {
    const { guard, membership, reports, clock } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (reports.pagesTaken !== this.#seen.pages) this.#seen = { pages: reports.pagesTaken, atMs: nowMs };
    // Metadata that went backwards takes no reports.
    const awaited = guard.regressed ? [] : membership.list().filter(({ state }) => state === 'live');
    const missing = awaited.filter(({ keeperId }) => !reports.requireSince(keeperId, cursor.since));
    const waits = missing.length > 0 && nowMs - this.#seen.atMs < reportPatienceMs;
    const next: CheckCursor = waits ? cursor : { ...cursor, phase: pagePhases[0] ?? 'keepers' };
    return {
      cursor: next,
      findings: [],
      progress: this.#progress(next),
      nextInMs: waits ? reportPollMs : 0,
    };
  }

  async #end(cursor: CheckCursor): Promise<CheckStep> {
    const findings = await this.#parts.store.read((snapshot) =>
      checkKeepers(snapshot, this.#parts, cursor.since),
    );
    const { incomplete } = cursor.tally;
    if (incomplete > 0) {
      const text = `${plural(incomplete, 'chunk has', 'chunks have')} fewer copies than asked for, all in the repair queue or about to join it`;
      findings.push({ invariant: 'repair', subject: '', text });
    }
    return { cursor: undefined, findings, progress: this.#progress(cursor), nextInMs: 0 };
  }

  #progress({ phase, since, tally }: CheckCursor): CheckProgress {
    const { store, membership } = this.#parts;
    const reported = new Set(reportedSince(this.#parts, since).map(({ keeperId }) => keeperId));
    const keepers = membership.list();
    const silent = keepers
      .filter(({ keeperId }) => !reported.has(keeperId))
      .map(({ keeperId, state }) => `what keeper ${keeperId} has (it is ${state} and has not reported)`);
    const notChecked = [
      ...silent,
      'the bytes of the pieces (scrubbing reads them)',
      'S7 and S11, which leave nothing behind to be looked at',
    ];
    const amounts = {
      chunksChecked: tally.chunks,
      chunksExpected: store.counters.chunks,
      piecesConfirmed: tally.confirmed,
      pieces: tally.pieces,
      keepersReported: reported.size,
      keepers: keepers.length,
    };
    const text =
      phase === 'reports'
        ? `waiting for keepers to tell what they have: ${reported.size} of ${keepers.length} have`
        : `checked ${tally.chunks} of ${plural(amounts.chunksExpected, 'chunk')}; ` +
          `${tally.confirmed} of ${plural(tally.pieces, 'piece')} confirmed by ` +
          `${reported.size} of ${plural(keepers.length, 'keeper')}; not checked: ${notChecked.join(', ')}`;
    return { ...amounts, notChecked, text };
  }
}

/** Runs a check to its end. Keeps the first and worst findings, counts all. */
export async function checkWhole(
  check: ClusterCheck,
  clock: Clock,
): Promise<{
  readonly findings: readonly CheckFinding[];
  readonly findingsTotal: number;
  readonly progress: CheckProgress;
}> {
  let findings: readonly CheckFinding[] = [];
  let findingsTotal = 0;
  for (let cursor: CheckCursor | undefined; ;) {
    const step: CheckStep = await check.step(cursor);
    findings = keepWorst(findings, step.findings);
    findingsTotal += step.findings.length;
    ({ cursor } = step);
    if (!cursor) return { findings, findingsTotal, progress: step.progress };
    if (step.nextInMs > 0) await clock.sleep(step.nextInMs);
  }
}

function phaseAfter(phase: PagePhase): CheckCursor['phase'] {
  return pagePhases[pagePhases.indexOf(phase) + 1] ?? 'keepers';
}

function add(tally: CheckTally, more: Partial<CheckTally>): CheckTally {
  return {
    chunks: tally.chunks + (more.chunks ?? 0),
    incomplete: tally.incomplete + (more.incomplete ?? 0),
    pieces: tally.pieces + (more.pieces ?? 0),
    confirmed: tally.confirmed + (more.confirmed ?? 0),
  };
}
