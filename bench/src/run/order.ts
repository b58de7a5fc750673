/**
 * In which order things run. Whatever drifts on a machine (its disk, its clock, its neighbours) must not favour
 * anybody: every round runs everything once, and what came first in one round comes last in the next.
 */

/** Numbers from 0 (included) to 1 that the seed decides: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}

/**
 * For each round, everything once. What is to be compared (the same `group`) runs side by side, in an order that
 * the seed decides and that moves on by one with each round.
 */
export function interleave<T>(
  items: readonly T[],
  group: (item: T) => unknown,
  rounds: number,
  seed: number,
): T[][] {
  const random = seededRandom(seed);
  const groups = new Map<unknown, T[]>();
  for (const item of items) {
    const name = group(item);
    const members = groups.get(name);
    if (members) members.push(item);
    else groups.set(name, [item]);
  }
  const orders = [...groups.values()].map((members) => shuffled(members, random));
  return Array.from({ length: rounds }, (_, round) =>
    orders.flatMap((members) => {
      const first = round % members.length;
      return [...members.slice(first), ...members.slice(0, first)];
    }),
  );
}
