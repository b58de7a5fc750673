/** How the points of a place are gone through, a chosen one or all of them, and that it is no success to hit nothing. */
import type { Numbers } from '../../support/seeded-numbers.js';

/** Where points are: a trouble, a victim and a step. */
export interface Target {
  readonly name: string;
  /** Does the step unharmed; how often the victim made each call in it. */
  measure(): Promise<ReadonlyMap<string, number>>;
  /** Does it with this call hit, its number from 1. False: the step was over before. */
  hit(call: string, number: number): Promise<boolean>;
}

/** Of like calls one in so many is enough: of those that make 256 directories, or wake a thread after each read. */
const stride: Readonly<Record<string, number>> = { mkdir: 25, mkdirat: 25, write: 7 };

async function measured(target: Target): Promise<ReadonlyMap<string, number>> {
  const counts = await target.measure();
  if (counts.size === 0) throw new Error(`${target.name}: none of the calls to hit was made`);
  return counts;
}

/**
 * One point, which a seed chooses.
 *
 * @throws Error what `hit` throws, or that nothing was hit
 */
export async function tryOne(target: Target, number: Numbers): Promise<void> {
  const all = [...(await measured(target))].flatMap(([call, count]) =>
    Array.from({ length: count }, (_, index) => ({ call, which: index + 1 })),
  );
  const { call, which } = all[number(all.length)]!;
  // How often a call is made varies from run to run; that it is made does not.
  for (const each of [which, 1]) if (await target.hit(call, each)) return;
  throw new Error(`${target.name}/${call}: neither number ${which} nor number 1 was hit`);
}

/** What a sweep of one call came to. */
interface Tally {
  readonly call: string;
  readonly hits: number;
  readonly points: number;
}

/** Each of one call, at least as many as were measured, and then until the step is over before. */
async function sweepCall(target: Target, call: string, count: number): Promise<Tally> {
  let [hits, points] = [0, 0];
  for (let number = 1; ; number += stride[call] ?? 1) {
    const isHit = await target.hit(call, number);
    if (!isHit && number > count) return { call, hits, points };
    points += 1;
    if (isHit) hits += 1;
  }
}

/**
 * All points of a place, or those of one call of it. Resolves to what to say of it.
 *
 * @throws Error what `hit` throws, or that a call that was measured was never hit
 */
export async function sweep(target: Target, only?: string): Promise<string> {
  const counts = [...(await measured(target))].filter(([call]) => only === undefined || call === only);
  const tallies: Tally[] = [];
  for (const [call, count] of counts) tallies.push(await sweepCall(target, call, count));
  const said = tallies.map(({ call, hits, points }) => `${call} hit ${hits} of ${points}`).join(', ');
  const isMissed = tallies.length === 0 || tallies.some(({ hits }) => hits === 0);
  if (isMissed) throw new Error(`${target.name}: a call was never hit: ${said}`);
  return `${target.name}: ${said}`;
}

/** How many points `sweep` goes through at least. */
export async function countPoints(target: Target): Promise<number> {
  const counts = await measured(target);
  return [...counts].reduce((sum, [call, count]) => sum + Math.ceil(count / (stride[call] ?? 1)), 0);
}
