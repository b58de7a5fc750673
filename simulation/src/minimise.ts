/**
 * The fewest faults of a failing history's plan that still make it fail: what a person wants to read.
 *
 * Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002 (ddmin), with halves
 * that shrink to single faults.
 */
import { type HistoryOptions, type HistoryResult, runHistory } from './history.js';

/** A history takes about a second; this bounds the whole to minutes. */
const maxRuns = 200;

/**
 * The smallest failing history that was found, and which faults of its plan are left out in it.
 *
 * @param options those under which it failed
 * @param isOver when it is to be content with what it has
 */
export async function minimise(
  failing: HistoryResult,
  options: HistoryOptions = {},
  run: typeof runHistory = runHistory,
  isOver: () => boolean = () => false,
): Promise<{ readonly result: HistoryResult; readonly without: ReadonlySet<number> }> {
  let best = { result: failing, without: new Set<number>() as ReadonlySet<number> };
  let left = failing.plan.map((_, index) => index);
  let runs = 0;
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < left.length && runs < maxRuns && !isOver();) {
      const tried = left.filter((_, place) => place < from || place >= from + size);
      const without = new Set(
        failing.plan.map((_, index) => index).filter((index) => !tried.includes(index)),
      );
      const result = await run(failing.seed, { ...options, without });
      runs += 1;
      // Any violation counts: one that is easier to have is easier to understand.
      if (result.violation === undefined) from += size;
      else {
        best = { result, without };
        left = tried;
      }
    }
  }
  return best;
}
