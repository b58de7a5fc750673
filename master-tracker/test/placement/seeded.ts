/**
 * Randomness for tests that can be replayed: every property's title shows its seed, and
 * `HOLDFAST_SEED=<seed>` runs it again.
 */

/** The seed of this run, 0 to 2^31 − 1. */
export const seed = Number(process.env['HOLDFAST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** A random source as planners want it (mulberry32): numbers from 0 to below 1, the same for the same seed. */
export function seededRandom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
