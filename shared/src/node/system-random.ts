/** The machine's randomness, drawn in larger portions: a call to the generator costs more than its bytes. */
import { randomFillSync } from 'node:crypto';
import type { Random } from '../ports/random.js';

/** 256 ids. */
const portionBytes = 4_096;

const portion = Buffer.alloc(portionBytes);
let used = portionBytes;

/** The next bytes of the portion; they are given once, and not kept. */
function draw(size: number): Buffer {
  if (size > portionBytes) return randomFillSync(Buffer.alloc(size));
  if (used + size > portionBytes) {
    randomFillSync(portion);
    used = 0;
  }
  const bytes = Buffer.from(portion.subarray(used, used + size));
  portion.fill(0, used, used + size);
  used += size;
  return bytes;
}

export const systemRandom: Random = {
  bytes: draw,
  // 32 bits are plenty for jitter and for choosing keepers.
  fraction: () => draw(4).readUInt32BE(0) / 2 ** 32,
};
