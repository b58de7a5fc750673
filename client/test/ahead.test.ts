/** What is asked for ahead: how much, in which order, and how it ends. */
import { describe, expect, it } from '@jest/globals';
import { ahead } from '../src/core/ahead.js';

/** Lets every promise that can settle do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const { signal } = new AbortController();

function numbers(end: number, error?: Error) {
  const seen = { asked: 0, left: false };
  const items = (async function* () {
    try {
      for (; seen.asked < end; seen.asked += 1) yield seen.asked;
      if (error) throw error;
    } finally {
      seen.left = true;
    }
  })();
  return { seen, items };
}

describe('ahead', () => {
  it('asks while nobody takes, but not without end, and keeps the order', async () => {
    const { seen, items } = numbers(100);
    const taken: number[] = [];
    for await (const item of ahead(items, 10, signal)) {
      taken.push(item);
      await settle();
      expect(seen.asked - item).toBeLessThan(25);
      if (item === 50) expect(seen.asked).toBeGreaterThan(55);
    }
    expect(taken).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  it('throws what its source throws after what came before, and leaves the source with its taker', async () => {
    const failing = ahead(numbers(3, new Error('no more')).items, 10, signal);
    const taken: number[] = [];
    const all = async (): Promise<void> => {
      for await (const item of failing) taken.push(item);
    };
    await expect(all()).rejects.toThrow('no more');
    expect(taken).toEqual([0, 1, 2]);
    const { seen, items } = numbers(Infinity);
    for await (const item of ahead(items, 10, signal)) if (item === 5) break;
    await settle();
    expect(seen.left).toBe(true);
  });
});
