/** Choices that a seed decides: the same for the same seed, on every machine. */

/** Numbers from 0 to below `below`. */
export type Numbers = (below: number) => number;

/** Lehmer's generator, from a start that is hashed: seeds that follow one another are nothing alike. */
export function numbersFrom(seed: number): Numbers {
  let state = (Math.imul(seed, 0x9e3779b1) >>> 0) % 2_147_483_646 || 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** One of them. */
export function pick<T>(numbers: Numbers, items: readonly T[]): T {
  const item = items[numbers(items.length)];
  if (item === undefined) throw new Error('there is nothing to pick from');
  return item;
}
