import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { interleave, seededRandom } from '../../src/run/order.js';

interface Item {
  readonly group: string;
  readonly name: number;
}

const plan = fc.record({
  items: fc
    .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 20 })
    .map((groups) => groups.map((group, name): Item => ({ group, name }))),
  rounds: fc.integer({ min: 1, max: 8 }),
  seed: fc.nat(),
});

const groupOf = ({ group }: Item): string => group;

describe('the order of a run', () => {
  it('has everything once in every round, and groups side by side', () => {
    fc.assert(
      fc.property(plan, ({ items, rounds, seed }) => {
        const order = interleave(items, groupOf, rounds, seed);
        expect(order).toHaveLength(rounds);
        for (const round of order) {
          expect([...round].sort((left, right) => left.name - right.name)).toEqual(items);
          const changes = round.filter((item, index) => index > 0 && item.group !== round[index - 1]!.group);
          expect(changes).toHaveLength(new Set(items.map(groupOf)).size - 1);
        }
      }),
    );
  });

  it('moves on by one with each round, so that everybody comes first equally often', () => {
    fc.assert(
      fc.property(plan, ({ items, seed }) => {
        const own = items.map((item) => ({ ...item, group: 'a' }));
        const firsts = interleave(own, groupOf, own.length, seed).map(([first]) => first!.name);
        expect(new Set(firsts).size).toBe(own.length);
      }),
    );
  });

  it('is the same for the same seed, and depends on it', () => {
    const items = Array.from({ length: 10 }, (_, name) => ({ group: 'a', name }));
    const names = (seed: number) =>
      interleave(items, groupOf, 1, seed)
        .flat()
        .map(({ name }) => name);
    expect(names(7)).toEqual(names(7));
    expect(new Set([1, 2, 3, 4, 5].map((seed) => names(seed).join())).size).toBeGreaterThan(1);
  });
});

it('seeded numbers lie in [0, 1) and are spread over it', () => {
  const random = seededRandom(42);
  const tenths = new Set(
    Array.from({ length: 1_000 }, () => {
      const value = random();
      expect(value >= 0 && value < 1).toBe(true);
      return Math.floor(value * 10);
    }),
  );
  expect(tenths.size).toBe(10);
});
