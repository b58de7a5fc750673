/** What an operator asked the tracker to do, and how it stands. */

/** Something that is not as it must be. */
export interface Finding {
  /** The promise that it breaks, "S1" to "S11", or "repair" or "counts" where nothing is lost. */
  readonly invariant: string;
  /** A path, a chunk, a keeper; '' for the cluster. */
  readonly subject: string;
  readonly text: string;
}

export interface Job {
  readonly jobId: string;
  readonly kind: 'drain' | 'rebalance' | 'scrub' | 'check' | 'unknown';
  /** done: did what it is for, and counted again; failed: ended without, `text` says why. */
  readonly state: 'running' | 'done' | 'cancelled' | 'failed' | 'unknown';
  /** The keepers that it is about; empty for the whole cluster. */
  readonly keeperIds: readonly string[];
  /** By the tracker's wall clock, for display only. */
  readonly startedAtUnixMs: number;
  readonly endedAtUnixMs?: number;
  /** Pieces, or for a check chunks, that are done with, of those there are. */
  readonly done: number;
  readonly expected: number;
  /** Bytes moved or read. */
  readonly doneBytes: number;
  readonly remainingMs?: number;
  /** How it stands, in a sentence. */
  readonly text: string;
  /** The first 100. */
  readonly findings: readonly Finding[];
  readonly findingsTotal: number;
}
