/** Policies: how many pieces, how many restore the chunk, how many must be durable before the ack. */
import { HoldfastError } from '../errors/index.js';
import { limits } from '../limits.js';

export interface Policy {
  readonly scheme: 'replicas';
  /** How many pieces a chunk is to have. 1 to limits.maxPieces. */
  readonly pieces: number;
  /** How many pieces restore it. 1 under replicas. */
  readonly needed: number;
  /** How many must be on stable storage before a commit. needed to pieces. */
  readonly minWrite: number;
}

/** Three copies, two of them durable before the ack: one loss at any moment costs nothing. */
export const defaultPolicy: Policy = { scheme: 'replicas', pieces: 3, needed: 1, minWrite: 2 };

export interface PolicyWish {
  /** 0 or absent: the default's. */
  readonly pieces?: number;
  /** 0 or absent: the default's, cut to `pieces`. */
  readonly minWrite?: number;
}

/**
 * The replica policy that a wish asks for.
 *
 * @throws HoldfastError INVALID_ARGUMENT if it cannot be had
 */
export function replicaPolicy(wish: PolicyWish, fallback: Policy = defaultPolicy): Policy {
  const pieces = wish.pieces || fallback.pieces;
  const minWrite = wish.minWrite || Math.min(fallback.minWrite, pieces);
  if (!Number.isSafeInteger(pieces) || pieces < 1 || pieces > limits.maxPieces) {
    throw new HoldfastError('INVALID_ARGUMENT', `replicas must be 1 to ${limits.maxPieces}, not ${pieces}`);
  }
  if (!Number.isSafeInteger(minWrite) || minWrite < 1 || minWrite > pieces) {
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `min-write must be 1 to the number of replicas (${pieces}), not ${minWrite}`,
    );
  }
  return { scheme: 'replicas', pieces, needed: 1, minWrite };
}
