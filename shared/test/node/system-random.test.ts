/** Randomness comes in portions; what is handed out must not show it. */
import { describe, expect, it } from '@jest/globals';
import { systemRandom } from '../../src/node/system-random.js';

describe('the random bytes', () => {
  it('are never the same twice, over many portions', () => {
    const seen = new Set(Array.from({ length: 10_000 }, () => systemRandom.bytes(16).toString('hex')));
    expect(seen.size).toBe(10_000);
  });

  it('stay what they were when more are drawn', () => {
    const first = systemRandom.bytes(16);
    const text = first.toString('hex');
    for (let n = 0; n < 1_000; n += 1) systemRandom.bytes(16);
    expect(first.toString('hex')).toBe(text);
  });

  it.each([0, 1, 4_095, 4_096, 4_097, 10_000])('are %i when so many are asked for', (size) => {
    const bytes = systemRandom.bytes(size);
    expect(bytes).toHaveLength(size);
    // All zeros once in 2^80 at most.
    if (size >= 10) expect(bytes.subarray(-10).some((byte) => byte !== 0)).toBe(true);
  });

  it('give fractions from 0 to below 1, spread evenly', () => {
    const tenths = new Array<number>(10).fill(0);
    for (let n = 0; n < 10_000; n += 1) {
      const fraction = systemRandom.fraction();
      expect(fraction).toBeGreaterThanOrEqual(0);
      expect(fraction).toBeLessThan(1);
      const tenth = Math.floor(fraction * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    // Ten standard deviations.
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(300);
  });
});
