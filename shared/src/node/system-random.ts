/** The machine's randomness. */
import { randomBytes } from 'node:crypto';
import type { Random } from '../ports/random.js';

export const systemRandom: Random = {
  bytes: (size) => randomBytes(size),
  // 32 bits are plenty for jitter and for choosing keepers.
  fraction: () => randomBytes(4).readUInt32BE(0) / 2 ** 32,
};
