/**
 * Decides which piece of a chunk that has one too many goes.
 *
 * The failure it answers: taking away is where replication loses data. A count of records says that there are
 * four pieces, and two of them are on keepers that nobody has heard of since the tracker started; the keeper that
 * looks the least useful has the only piece that is really there. So a piece goes only for pieces that are
 * confirmed: durable, on keepers that are live, have told this start of the tracker what they have, and keep it
 * (S5).
 *
 * The promise: what is left without the victim is at least as many confirmed pieces as the policy asks for. Pure:
 * to be asked inside the transaction that acts on the answer.
 */
import { failureDomain } from '../placement/placement.js';
import type { HeldPiece } from './chunk-standing.js';
import type { RepairChunk, RepairKeeper } from './repair-view.js';

/**
 * The keeper whose piece goes: one that is being emptied if there is one; else, of the zones with the most pieces,
 * the one that the chunk is being moved from, or the fullest keeper. undefined if none may go.
 */
export function chooseVictim(
  chunk: RepairChunk,
  keepers: ReadonlyMap<string, RepairKeeper>,
  movesFrom?: string,
): string | undefined {
  // Of different pieces none is one too many.
  if (chunk.policy.needed > 1) return undefined;
  const held = chunk.pieces.flatMap((piece): HeldPiece[] => {
    const keeper = keepers.get(piece.keeperId);
    return keeper && keeper.state !== 'dead' ? [{ ...piece, keeper }] : [];
  });
  // A piece in doubt may be the proof that the others are bad too: wait for the verdict.
  if (held.some((piece) => piece.state === 'suspect')) return undefined;
  const heard = held.filter(({ keeper }) => keeper.state === 'live' && keeper.reported);
  const confirmed = heard.filter(({ keeper }) => !keeper.draining && keeper.storageWritable);
  if (confirmed.length < chunk.policy.pieces) return undefined;
  const draining = heard.filter(({ keeper }) => keeper.draining);
  if (draining.length > 0) return fullest(draining);
  if (confirmed.length === chunk.policy.pieces) return undefined;
  const candidates = inFullestZones(confirmed);
  const isMoved = candidates.some((piece) => piece.keeperId === movesFrom);
  return isMoved ? movesFrom : fullest(candidates);
}

/** Those that share a failure domain with the most others; all, if none do. */
function inFullestZones(pieces: readonly HeldPiece[]): HeldPiece[] {
  const counts = new Map<string, number>();
  for (const { keeper } of pieces) {
    const domain = failureDomain(keeper);
    counts.set(domain, (counts.get(domain) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  return pieces.filter(({ keeper }) => counts.get(failureDomain(keeper)) === most);
}

function fullest(pieces: readonly HeldPiece[]): string | undefined {
  const [first] = [...pieces].sort(
    (a, b) => usedShare(b.keeper) - usedShare(a.keeper) || (a.keeperId < b.keeperId ? -1 : 1),
  );
  return first?.keeperId;
}

function usedShare({ totalBytes, freeBytes }: RepairKeeper): number {
  return totalBytes > 0 ? 1 - freeBytes / totalBytes : 1;
}
