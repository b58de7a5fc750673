/**
 * Jobs: something for the tracker to do that an operator asked for, and that takes its time.
 *
 * The failure it answers: an operation that lives in a call or in the tracker's memory is gone with it, and
 * nobody knows how far it came. A job is a row: it goes on after a restart, says how it stands in a sentence, and
 * ends once.
 */
import type { CheckFinding } from '../check/finding.js';
import type { MetadataTransaction } from '../store/metadata-store.js';

/** Closed sets; the contract has the same words. */
export type JobKind = 'drain' | 'rebalance' | 'scrub' | 'check';
export type JobState = 'running' | 'done' | 'cancelled' | 'failed';

/** What a step tells of a job; what it leaves out stays as it was. */
export interface JobProgress {
  /** Pieces (drain, rebalance, scrub) or chunks (check) that are done with, of those there are. */
  readonly done: number;
  readonly expected: number;
  /** Bytes moved (drain, rebalance) or read (scrub). */
  readonly doneBytes: number;
  /** How it stands, in a sentence. */
  readonly text: string;
  /** Where the next step goes on, also after a restart; whatever JSON can hold. */
  readonly cursor: unknown;
  /** The first of what was found, at most maxFindingsKept, and how many there were. */
  readonly findings: readonly CheckFinding[];
  readonly findingsTotal: number;
}

export interface Job extends JobProgress {
  readonly jobId: string;
  readonly kind: JobKind;
  readonly state: JobState;
  /** The keepers that it is about; none for the whole cluster. */
  readonly keeperIds: readonly string[];
  /** Grows from job to job. */
  readonly startedTransactionId: number;
  /** By the tracker's wall clock, for display only. */
  readonly startedAtUnixMs: number;
  readonly endedAtUnixMs: number | undefined;
}

/** What a step did. */
export interface JobStep extends Partial<JobProgress> {
  /** Set when the job is over: it did what it is for, or cannot. */
  readonly ended?: 'done' | 'failed';
  /** True if the next step has something to do at once. */
  readonly more?: boolean;
}

/** What does the jobs of one kind. One is made for the tracker's life and registered in core.ts. */
export interface JobRunner {
  readonly kind: JobKind;
  /**
   * Does a bounded part of a running job: a page, some milliseconds. May be called again after a restart with the
   * cursor of any step before; what it did then must be harmless to do again. What it throws is logged and shown,
   * and the step is tried again.
   */
  step(job: Job): Promise<JobStep>;
  /** Part of the transaction that begins a job. @throws HoldfastError if it cannot be begun */
  begin?(tx: MetadataTransaction, keeperIds: readonly string[]): Promise<void>;
  /**
   * Part of the transaction that cancels a job. Also for one that is done: what it left behind is taken back. Resolves
   * to what was, in a few words; '' if there was nothing.
   */
  cancel?(tx: MetadataTransaction, job: Job): Promise<string>;
}
