/** How many files of a transfer of many are on their way at once, each in calls of its own. */

/**
 * With 32 small ones a local cluster stores half as many again a second as with 8, and one client takes half of what
 * a keeper serves at a time.
 */
export const filesAtOnce = 32;

/** What fits a message; a longer one has up to 4 chunks on their way and counts as 4. */
const smallBytes = 1024 * 1024;
const largeCost = 4;

/** The part of `filesAtOnce` that a file of this size takes: 32 small files, or 8 large ones, or some of each. */
export function costOf(sizeBytes: number): number {
  return sizeBytes <= smallBytes ? 1 : largeCost;
}
