/** The words of the list, for tests; the runner is scripts/guards.mjs. */

export interface Guard {
  /** What people call it; no two have the same. */
  readonly name: string;
  /** The invariant of ARCHITECTURE.md that it serves, S1 to S11; 'liveness' for what keeps the cluster going. */
  readonly invariant: string;
  /** What holds because of it, in a sentence. */
  readonly guards: string;
  /** Where it stands, from the top of the checkout. */
  readonly file: string;
  /** Its text, which is there once. */
  readonly find: string;
  /** What takes its place, so that all is as before but the guard is gone; it still compiles. */
  readonly replace: string;
  /** The test file that must fail then, from the top of the checkout. Runs the sources in well under a minute. */
  readonly test: string;
  /** A part of the names of the tests that are run, where the file has others that take long; literally. */
  readonly only?: string;
}

export const guards: readonly Guard[];
