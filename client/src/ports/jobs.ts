/** Operators' jobs, as the tracker tells of them. */

/** Something that is not as it must be. */
export interface JobFinding {
  /** The promise that it breaks: "S1" to "S11". */
  readonly invariant: string;
  readonly subject: string;
  readonly text: string;
}

/** Something for the tracker to do that an operator asked for; it survives restarts of the tracker. */
export interface Job {
  readonly jobId: string;
  readonly kind: 'drain' | 'rebalance' | 'scrub' | 'check' | 'unknown';
  /** done: it did what it is for, and counted again before it said so; failed: `text` says why not. */
  readonly state: 'running' | 'done' | 'cancelled' | 'failed' | 'unknown';
  /** The keepers that it is about; empty for the whole cluster. */
  readonly keeperIds: readonly string[];
  /** By the tracker's wall clock, in milliseconds since 1970. For display. */
  readonly startedAtUnixMs: number;
  /** Absent while it runs. */
  readonly endedAtUnixMs?: number;
  /** Pieces (drain, rebalance, scrub) or chunks (check) that are done with, of those there are. */
  readonly done: number;
  readonly expected: number;
  /** Bytes moved or read. */
  readonly doneBytes: number;
  /** An estimate, in milliseconds; absent if there is nothing to go by or the job has ended. */
  readonly remainingMs?: number;
  /** How it stands, in a sentence. */
  readonly text: string;
  /** The first 100 of what was found; only when one job is asked for. */
  readonly findings: readonly JobFinding[];
  readonly findingsTotal: number;
}

export interface JobPage {
  readonly jobs: readonly Job[];
  /** '' on the last page. */
  readonly nextPageToken: string;
}
