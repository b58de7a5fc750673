import { randomInt } from 'node:crypto';
import { type HistoryOptions, runHistory } from '../src/history.js';
import { minimise } from '../src/minimise.js';
import { rollback } from '../src/nemesis.js';

/** What a violation is told with. */
function story({ seed, violation, trace }: Awaited<ReturnType<typeof runHistory>>): string {
  return `seed ${seed}: ${violation}\n${trace.slice(-100).join('\n')}\nnpm run simulate -- --seed ${seed} --trace`;
}

/** Known seeds, by what breaks a promise in them if a guard is gone (tests/guards); and some that nobody has tried before. */
const fixedSeeds: readonly (readonly [seed: number, what: string])[] = [
  [1, 'older metadata come back'],
  [2, 'extents are shared'],
  [4, 'versions are swapped'],
  [6, 'requests repeat while power goes'],
  [9, 'power goes after renames'],
  [15, 'requests come twice'],
];
const firstFreshSeed = process.env['HOLDFAST_SEED']
  ? Number(process.env['HOLDFAST_SEED'])
  : randomInt(2 ** 40);
const freshSeeds = [0, 1].map((index) => [firstFreshSeed + index, 'a fresh one'] as const);

describe('a cluster under a seed', () => {
  it.each([...fixedSeeds, ...freshSeeds])('keeps its promises in history %d: %s', async (seed) => {
    const result = await runHistory(seed);
    if (result.violation !== undefined) throw new Error(story(result));
    expect(result.outcomes.get('upload ok')).toBeGreaterThan(0);
  });

  it('has one history for one seed', async () => {
    const [one, other] = [await runHistory(3), await runHistory(3)];
    expect(other.trace).toEqual(one.trace);
    expect(other.fingerprint).toBe(one.fingerprint);
    expect((await runHistory(5)).fingerprint).not.toBe(one.fingerprint);
  });

  it('says so when its metadata went backwards, and is whole again with the newest copy', async () => {
    // With no start of the tracker between the two: those from the older copy and from the newest have the same epoch.
    const plan = [{ kind: rollback, atMs: 5_000, durationMs: 0, seed: 0 }];
    const result = await runHistory(264, { plan });
    expect(result.faults).toEqual(new Map([[rollback, 1]]));
    if (result.violation !== undefined) throw new Error(story(result));
  });

  it('finds it out when disks only say that they sync, and which fault it takes', async () => {
    const power = 'cut the power of all keepers';
    // Of ten seconds, so that something is stored before the power goes.
    const seed = 8;
    const plan = [
      { kind: 'kill the tracker', atMs: 2_000, durationMs: 1_000, seed: 2 },
      { kind: power, atMs: 8_000, durationMs: 1_000, seed: 3 },
    ];
    const honest = await runHistory(seed, { plan });
    if (honest.violation !== undefined) throw new Error(story(honest));
    const lying = { plan, lyingDisks: true };
    const failing = await runHistory(seed, lying);
    expect(failing.violation).toBeDefined();
    const { result } = await minimise(failing, lying);
    expect(result.violation).toBeDefined();
    expect(result.plan.map(({ kind }) => kind)).toEqual([power]);
  });
});

describe('minimise', () => {
  it('leaves the faults without which nothing is broken', async () => {
    const plan = Array.from({ length: 23 }, (_, index) => ({
      ...{ kind: `fault ${index}`, atMs: index, durationMs: 1, seed: index },
    }));
    const some = await runHistory(1, {
      without: new Set(Array.from({ length: 1_000 }, (_, index) => index)),
    });
    const failing = { ...some, plan, violation: 'broken' };
    // Broken by the third and the eighteenth together.
    const run = (_seed: number, { without }: HistoryOptions = {}) =>
      Promise.resolve(without?.has(2) === true || without?.has(17) === true ? some : failing);
    const { without } = await minimise(failing, {}, run);
    expect(plan.filter((_, index) => !without.has(index)).map(({ kind }) => kind)).toEqual([
      'fault 2',
      'fault 17',
    ]);
  });
});
