import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RepairRate } from '../../src/repair/repair-rate.js';
import { seed } from '../placement/seeded.js';

describe(`RepairRate (seed ${seed})`, () => {
  it('has no limit at 0', () => {
    const rate = new RepairRate(0);
    rate.take('a', 10 ** 12, 0);
    expect(rate.left('a', 0)).toBe(Infinity);
  });

  it('is apart for each keeper, and comes back with time', () => {
    const rate = new RepairRate(100);
    rate.take('a', 250, 5_000);
    expect(rate.left('a', 5_000)).toBe(-50);
    expect(rate.left('b', 5_000)).toBe(200);
    expect(rate.left('a', 5_500)).toBe(0);
    expect(rate.left('a', 6_000)).toBe(50);
    expect(rate.left('a', 60_000)).toBe(200);
  });

  it('brings no more than was agreed over any time, and no less to who asks often', () => {
    const piece = fc.integer({ min: 1, max: 400 });
    const looks = fc.array(fc.record({ piece, afterMs: fc.integer({ min: 0, max: 1_500 }) }), {
      minLength: 20,
    });
    fc.assert(
      fc.property(looks, (all) => {
        const rate = new RepairRate(100);
        let nowMs = 0;
        let taken = 0;
        let largest = 0;
        for (const look of all) {
          nowMs += look.afterMs;
          largest = Math.max(largest, look.piece);
          while (rate.left('a', nowMs) > 0) {
            rate.take('a', look.piece, nowMs);
            taken += look.piece;
          }
          expect(taken).toBeLessThanOrEqual(200 + (100 * nowMs) / 1_000 + largest);
          expect(taken).toBeGreaterThanOrEqual((100 * nowMs) / 1_000);
        }
      }),
      { seed, numRuns: 300 },
    );
  });
});
