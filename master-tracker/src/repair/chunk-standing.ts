/**
 * How one chunk stands: which of its pieces count, which are on their way, which are missing.
 *
 * The failure it answers: counting pieces in several places counts them differently, and a chunk that status
 * calls healthy is then one that repair calls endangered. This is the one place that says what counts.
 *
 * What counts: a piece on a keeper that is live, suspect or in maintenance, also one that was reported bad and
 * not yet verified. What is kept: of these, the pieces on keepers that are not being emptied; where one is, also not
 * those on storages that cannot be written. Under replicas (needed = 1) pieces are counted by keeper; else by piece
 * index, as the same piece twice restores no more than once.
 */
import type { OccupiedKeeper } from '../placement/placement.js';
import type { InFlightCopy } from './in-flight.js';
import type { RepairChunk, RepairKeeper, RepairPiece, RepairPolicy, RepairUrgency } from './repair-view.js';

/** A piece together with the keeper that holds it. */
export interface HeldPiece extends RepairPiece {
  readonly keeper: RepairKeeper;
}

export interface ChunkStanding {
  /** How many different pieces count now. */
  readonly counted: number;
  /** How many of them are on keepers that are not being emptied: what the policy is kept with. */
  readonly kept: number;
  /** How many more will when the copies in flight are done. */
  readonly underway: number;
  /** True if there are more pieces than the policy asks for, those on keepers that are being emptied included. */
  readonly surplus: boolean;
  /**
   * The indices of the pieces to be planned, so that the policy is kept without those on keepers that are being
   * emptied, in the order of planning; all 0 under replicas.
   */
  readonly missing: readonly number[];
  /** The pieces that count. */
  readonly held: readonly HeldPiece[];
  /** The keepers that have a piece of the chunk or are getting one. */
  readonly occupied: readonly OccupiedKeeper[];
}

/** Where the pieces of a chunk stand, given all keepers by id and the copies in flight of this chunk. */
export function standingOf(
  chunk: RepairChunk,
  keepers: ReadonlyMap<string, RepairKeeper>,
  inFlight: readonly InFlightCopy[],
): ChunkStanding {
  const { policy } = chunk;
  const held = chunk.pieces.flatMap((piece): HeldPiece[] => {
    const keeper = keepers.get(piece.keeperId);
    return keeper && keeper.state !== 'dead' ? [{ ...piece, keeper }] : [];
  });
  // A copy to a keeper that died since is not coming.
  const coming = inFlight.flatMap((copy) => {
    const keeper = keepers.get(copy.targetKeeperId);
    return keeper && keeper.state !== 'dead' ? [{ ...copy, keeper }] : [];
  });
  const unit = (keeper: RepairKeeper, pieceIndex: number): string | number =>
    policy.needed === 1 ? keeper.keeperId : pieceIndex;
  const present = new Set(held.map((piece) => unit(piece.keeper, piece.pieceIndex)));
  // A copy whose piece is recorded already, but whose order is still in the table, is one piece and not two.
  const all = new Set([...present, ...coming.map((copy) => unit(copy.keeper, copy.pieceIndex))]);
  // Where a piece is to go, the others must be such that it may (surplus.ts), or the keeper is never empty.
  const isLeaving = held.some(({ keeper }) => keeper.draining);
  const keptOf = (pieces: readonly Pick<HeldPiece, 'keeper' | 'pieceIndex'>[]) =>
    new Set(
      pieces
        .filter(({ keeper }) => !keeper.draining && (keeper.storageWritable || !isLeaving))
        .map(({ keeper, pieceIndex }) => unit(keeper, pieceIndex)),
    );
  const toBeKept = keptOf([...held, ...coming]);
  const missingCount = Math.max(0, policy.pieces - toBeKept.size);
  const missing =
    policy.needed === 1
      ? new Array<number>(missingCount).fill(0)
      : Array.from({ length: policy.pieces }, (_, pieceIndex) => pieceIndex).filter(
          (index) => !toBeKept.has(index),
        );
  return {
    counted: present.size,
    kept: keptOf(held).size,
    underway: all.size - present.size,
    // Of different pieces none is one too many.
    surplus: policy.needed === 1 && held.length > policy.pieces,
    missing,
    held,
    occupied: [...held, ...coming].map(({ keeper }) => ({ keeperId: keeper.keeperId, zone: keeper.zone })),
  };
}

/** How badly a chunk that has `pieces` pieces, enough to be read, needs one more. */
export function urgencyOf(pieces: number, policy: RepairPolicy): RepairUrgency {
  if (pieces >= policy.pieces) return 'draining';
  if (pieces <= policy.needed) return 'endangered';
  return pieces < policy.pieces / 2 ? 'below-half' : 'below-policy';
}

/** The length of one piece of a chunk, in bytes: the whole under replicas, a share rounded up else. */
export function pieceBytesOf(chunk: RepairChunk): number {
  return Math.ceil(chunk.lengthBytes / chunk.policy.needed);
}
