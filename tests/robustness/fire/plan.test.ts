/** What the fire plans stays within what the promises allow, whatever the seed. */
import { expect, it } from '@jest/globals';
import { type PlannedFault, faultKinds, planPhase } from './plan.js';

const keepers = 5;
const shape = { lengthMs: 45_000, keepers, disk: 'own, with reads that can hang' } as const;
const seeds = Array.from({ length: 300 }, (_, seed) => seed);
const plans = seeds.map((seed) => planPhase(seed, shape));

const losing = [
  'wiped',
  'without some pieces',
  'without a shard',
  'with damaged pieces',
  'with flipped bits',
];
const ending = ['killed', 'stopped in order'];

function overlapping(one: PlannedFault, other: PlannedFault): boolean {
  return one.atMs < other.atMs + other.durationMs && other.atMs < one.atMs + one.durationMs;
}

it('is the same for the same seed, and other for another', () => {
  expect(seeds.map((seed) => planPhase(seed, shape))).toEqual(plans);
  expect(new Set(plans.map((plan) => JSON.stringify(plan))).size).toBe(plans.length);
});

it('ends every fault within the phase, has several at a time, and in the end every kind', () => {
  for (const plan of plans) {
    expect(plan.length).toBeGreaterThan(3);
    for (const { atMs, durationMs } of plan) {
      expect(durationMs).toBeGreaterThan(0);
      expect(atMs + durationMs).toBeLessThanOrEqual(shape.lengthMs);
    }
  }
  expect(
    plans.some((plan) => plan.some((one) => plan.some((other) => one !== other && overlapping(one, other)))),
  ).toBe(true);
  expect(new Set(plans.flat().map(({ kind }) => kind))).toEqual(new Set(faultKinds));
});

it('leaves three keepers alone at any time, and hits none twice at once', () => {
  for (const plan of plans) {
    for (const fault of plan) {
      const beside = plan.filter((other) => other !== fault && overlapping(fault, other));
      expect(beside.map(({ victim }) => victim)).not.toContain(fault.victim);
      if (fault.victim === 'everything') expect(beside).toEqual([]);
      // Who is hit at the moment when this one begins.
      const now = beside.filter(({ atMs }) => atMs <= fault.atMs).concat(fault);
      const hit = now.filter(({ victim }) => typeof victim === 'number');
      expect(hit.length).toBeLessThanOrEqual(keepers - 3);
    }
  }
});

it('has one keeper at most lose what it stored, and one that nobody ends', () => {
  for (const plan of plans) {
    expect(
      new Set(plan.filter(({ kind }) => losing.includes(kind)).map(({ victim }) => victim)).size,
    ).toBeLessThan(2);
    for (const { kind, victim } of plan) {
      if (ending.includes(kind) || losing.includes(kind)) expect(victim).not.toBe(keepers - 1);
    }
  }
});

it('hits no disk where there is none', () => {
  const kinds = seeds.flatMap((seed) => planPhase(seed, { ...shape, disk: 'none' })).map(({ kind }) => kind);
  expect(kinds).not.toEqual(expect.arrayContaining([expect.stringMatching(/disk|full/)]));
});
