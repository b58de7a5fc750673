/** How the points of a place are gone through, a chosen one or all of them, and that it is no success to hit nothing. */
import { type Numbers, pick } from '../../support/seeded-numbers.js';

/** Where points are: a trouble, a victim and a step. */
export interface Target {
  readonly name: string;
  /** Does the step unharmed; how often the victim made each call in it. */
  measure(): Promise<ReadonlyMap<string, number>>;
  /** Does it with this call hit, its number from 1. False: the step was over before. */
  hit(call: string, number: number): Promise<boolean>;
}

/** A keeper has 256 directories: who makes as many of these calls goes through them. */
const ofDirectories = ['mkdir', 'mkdirat', 'openat', 'getdents64'];

/** Of like calls one in so many is enough: of those to each directory, or that wake a thread after each read. */
function strideOf(call: string, count: number): number {
  if (call === 'write') return 7;
  return count >= 256 && ofDirectories.includes(call) ? 25 : 1;
}

/** What SQLite reads only when its cache has not got it, or when a checkpoint happens to be due. */
const isNowAndThen = (call: string): boolean => call === 'pread64';

/** The numbers of a call that was made so often. */
function numbersOf(call: string, count: number): number[] {
  const stride = strideOf(call, count);
  return Array.from({ length: Math.ceil(count / stride) }, (_, index) => 1 + index * stride);
}

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
    numbersOf(call, count).map((which) => ({ call, which })),
  );
  const first = pick(number, all);
  if (await tryTwice(target, first)) return;
  const certain = all.filter(({ call }) => !isNowAndThen(call));
  if (isNowAndThen(first.call) && (await tryTwice(target, pick(number, certain)))) return;
  throw new Error(`${target.name}/${first.call}: neither number ${first.which} nor number 1 was hit`);
}

/** How often a call is made varies from run to run; that it is made does not. */
async function tryTwice(
  target: Target,
  { call, which }: { readonly call: string; readonly which: number },
): Promise<boolean> {
  return (await target.hit(call, which)) || target.hit(call, 1);
}

/** What a sweep of one call came to. */
interface Tally {
  readonly call: string;
  readonly hits: number;
  readonly points: number;
}

/**
 * Each of one call, at least as many as were measured, and then until the step is over before. The first once more if none
 * was hit: after a miss a server has just started, as when it was measured.
 */
async function sweepCall(target: Target, call: string, count: number): Promise<Tally> {
  let [hits, points] = [0, 0];
  const stride = strideOf(call, count);
  for (let number = 1; ; number += stride) {
    const isHit = await target.hit(call, number);
    if (!isHit && number > count) {
      if (hits === 0 && (await target.hit(call, 1))) hits = 1;
      return { call, hits, points };
    }
    points += 1;
    if (isHit) hits += 1;
  }
}

/**
 * All points of a place, or those of one call of it. Resolves to what to say of it.
 *
 * @throws Error what `hit` throws, or that a call that was measured, and is made each time, was never hit
 */
export async function sweep(target: Target, only?: string): Promise<string> {
  const all = await measured(target);
  const counts = [...all].filter(([call]) => only === undefined || call === only);
  if (counts.length === 0) throw new Error(`${target.name} makes ${[...all.keys()].join(', ')}, no ${only}`);
  const tallies: Tally[] = [];
  for (const [call, count] of counts) tallies.push(await sweepCall(target, call, count));
  const said = tallies.map(({ call, hits, points }) => `${call} hit ${hits} of ${points}`).join(', ');
  const isMissed = tallies.some(({ call, hits }) => hits === 0 && (call === only || !isNowAndThen(call)));
  if (isMissed) throw new Error(`${target.name}: a call was never hit: ${said}`);
  return `${target.name}: ${said}`;
}

/** Says how many points `sweep` goes through at least. */
export async function countPoints(target: Target): Promise<string> {
  const counts = [...(await measured(target))].map(
    ([call, count]) => [call, numbersOf(call, count).length] as const,
  );
  const sum = counts.reduce((before, [, count]) => before + count, 0);
  return `${target.name}: ${sum} points: ${counts.map(([call, count]) => `${call} ${count}`).join(', ')}`;
}
