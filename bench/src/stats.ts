/** The arithmetic of the bench: medians, percentiles, and ratios that are taken pair by pair. */
import { caseKey, type Case, type Sample, type Workload } from './samples.js';

/** The middle of one or more figures, and how far they reach. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/**
 * The value below or at which the fraction `of` (0 to 1) of the figures lie: the nearest rank, so it is one of
 * them.
 *
 * @throws RangeError if there are none
 */
export function percentile(values: Iterable<number>, of: number): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) throw new RangeError('there is no percentile of nothing');
  const rank = Math.max(1, Math.ceil(of * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** The middle one, or the mean of the two in the middle. @throws RangeError if there are none */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('there is no median of nothing');
  const sorted = Float64Array.from(values).sort();
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** @throws RangeError if there are none */
export function spread(values: readonly number[]): Spread {
  return {
    median: median(values),
    min: percentile(values, 0),
    max: percentile(values, 1),
    count: values.length,
  };
}

/** Which samples: those of one row of a table. */
export interface Selection {
  readonly workload: Workload;
  readonly subject: string;
  readonly case: Case;
}

export function select(samples: readonly Sample[], selection: Selection): Sample[] {
  const key = caseKey(selection.case);
  return samples.filter(
    ({ workload, subject, case: of }) =>
      workload === selection.workload && subject === selection.subject && caseKey(of) === key,
  );
}

/**
 * `of` over `over`, round by round, then the median. Two runs of one round met the same machine; the medians of
 * each by themselves may come from different ones. Undefined if no round has both.
 */
export function ratio(samples: readonly Sample[], of: Selection, over: Selection): Spread | undefined {
  const below = new Map(select(samples, over).map(({ round, rate }) => [round, rate]));
  const ratios = select(samples, of).flatMap(({ round, rate }) => {
    const other = below.get(round);
    return other === undefined ? [] : [rate / other];
  });
  return ratios.length === 0 ? undefined : spread(ratios);
}
