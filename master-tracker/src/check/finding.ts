/** What a check says: what is not as it must be, and how much it looked at. */

/** Promises by their numbers in ARCHITECTURE.md; `repair`: copies are missing; `counts`: numbers are wrong. */
type Invariant = `S${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11}` | 'repair' | 'counts';

/** Something that is not as it must be. */
export interface CheckFinding {
  readonly invariant: Invariant;
  /** A path, a chunk, a keeper; '' for the cluster. */
  readonly subject: string;
  readonly text: string;
}

/** How far a check came. What it did not look at is named, so that "nothing found" is not taken for "all is well". */
export interface CheckProgress {
  /** Live chunks that were looked at, of those there are. */
  readonly chunksChecked: number;
  readonly chunksExpected: number;
  /** Durable pieces whose keepers told anew that they have them, of those that the metadata names. */
  readonly piecesConfirmed: number;
  readonly pieces: number;
  /** Keepers that told anew all that they have, of those that are known. */
  readonly keepersReported: number;
  readonly keepers: number;
  readonly notChecked: readonly string[];
  /** All this in a sentence or two. */
  readonly text: string;
}

/** How many findings are kept; all are counted. */
export const maxFindingsKept = 100;

/** Findings of these mean that bytes are lost, wrong, or about to go. */
const grave: ReadonlySet<Invariant> = new Set(['S1', 'S2', 'S3', 'S4', 'S5']);

/** Adds findings to those that are kept: grave ones push out others. */
export function keepWorst(
  kept: readonly CheckFinding[],
  found: readonly CheckFinding[],
): readonly CheckFinding[] {
  const all = [...kept, ...found];
  if (all.length <= maxFindingsKept) return all;
  const isGrave = ({ invariant }: CheckFinding): boolean => grave.has(invariant);
  return [...all.filter(isGrave), ...all.filter((each) => !isGrave(each))].slice(0, maxFindingsKept);
}
