/**
 * How much of a keeper's part in repair one copy takes: a small piece is a part of a copy.
 *
 * The failure it answers: a limit of copies at a time is chosen for pieces whose bytes take time. For a small one that
 * is over in milliseconds nearly all of the time is the way of its order and of its receipt, and at two at a time a
 * keeper's quarter of a million small pieces take hours, with the disks and the links at rest.
 */

/** The bytes of such a copy take as long as all the rest of it, with 64 MiB/s to a keeper. */
const wholeCopyBytes = 4 * 1024 * 1024;
/** A copy is at least one part in so many, or empty pieces would be without a limit. A power of two: sums stay exact. */
const partsOfCopy = 16;

/** From 1 / 16 for the smallest pieces to 1. */
export function copyShare(pieceBytes: number): number {
  return Math.max(1, Math.ceil(Math.min(1, pieceBytes / wholeCopyBytes) * partsOfCopy)) / partsOfCopy;
}
