/**
 * How fast a scrub goes. Pure.
 *
 * The failure it answers: a scrub that takes the disk from its clients is switched off, and one that gives way to them
 * for ever never ends. So a round is spread evenly over its time; it takes a bounded share of the disk by pausing for
 * a multiple of what each read took; while clients have streams open that share is small, until the time is nearly up.
 */

/** Where a round stands. */
export interface RoundStanding {
  /** For how long it has been running, in milliseconds. */
  readonly elapsedMs: number;
  /** What will have been read with the next piece, and what there is to read in all, in the same unit. */
  readonly done: number;
  readonly expected: number;
  /** Asked for by somebody who waits for it. */
  readonly isUrgent: boolean;
}

export interface PaceLimits {
  /** Within this every piece is to be read once more. */
  readonly periodMs: number;
  /** The most of the disk's time that a scrub takes, 0 to 1. */
  readonly share: number;
  /** The same while clients have streams open. */
  readonly shareBesideClients: number;
}

/** The rest of the period is for what was missed while others had the disk. */
const plannedShareOfPeriod = 0.8;

/** How long a round is meant to take, in milliseconds. */
export function plannedMs({ periodMs }: PaceLimits): number {
  return plannedShareOfPeriod * periodMs;
}

/** A piece costs its bytes, and about as much as this many more for finding it. */
const pieceCostBytes = 65_536;

/** Pieces and bytes as one figure. */
export function workOf({ pieces, bytes }: { readonly pieces: number; readonly bytes: number }): number {
  return bytes + pieces * pieceCostBytes;
}

/** How long the next piece has time, in milliseconds: the last one is due when the planned time is over. */
export function dueInMs({ elapsedMs, done, expected, isUrgent }: RoundStanding, limits: PaceLimits): number {
  if (isUrgent || expected <= 0) return 0;
  return Math.max(0, plannedMs(limits) * (done / expected) - elapsedMs);
}

/** How long to rest after a read that took `spentMs`. */
export function restMs(
  spentMs: number,
  { elapsedMs, isUrgent }: Pick<RoundStanding, 'elapsedMs' | 'isUrgent'>,
  hasClients: boolean,
  limits: PaceLimits,
): number {
  if (isUrgent && !hasClients) return 0;
  const isLate = elapsedMs > plannedMs(limits);
  const share = hasClients && !isLate && !isUrgent ? limits.shareBesideClients : limits.share;
  return spentMs * (1 / share - 1);
}
