/** How far all keepers together have re-read their pieces. */
import type { ScrubProgress } from '../membership/keeper.js';

/** Summed over the keepers that have said; undefined if none has. What is true of all is the worst of them. */
export function sumScrubs(scrubs: readonly ScrubProgress[]): ScrubProgress | undefined {
  const [first, ...others] = scrubs;
  if (!first) return undefined;
  const start = { ...first, throughChunkId: '', taskId: '' };
  return others.reduce<ScrubProgress>(
    (sum, each) => ({
      ...sum,
      scannedPieces: sum.scannedPieces + each.scannedPieces,
      expectedPieces: sum.expectedPieces + each.expectedPieces,
      scannedBytes: sum.scannedBytes + each.scannedBytes,
      expectedBytes: sum.expectedBytes + each.expectedBytes,
      corruptPieces: sum.corruptPieces + each.corruptPieces,
      unreadPieces: sum.unreadPieces + each.unreadPieces,
      cachedPieces: sum.cachedPieces + each.cachedPieces,
      startedAtUnixMs: earlier(sum.startedAtUnixMs, each.startedAtUnixMs),
      previousStartedAtUnixMs: earlier(sum.previousStartedAtUnixMs, each.previousStartedAtUnixMs),
      rounds: Math.min(sum.rounds, each.rounds),
    }),
    start,
  );
}

/** Unknown if one of them is: nothing was verified since a time that nobody knows. */
function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.min(a, b);
}
