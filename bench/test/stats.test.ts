import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { median, percentile, ratio, spread } from '../src/stats.js';
import { sample } from './support.js';

describe('medians and percentiles', () => {
  it.each([
    [[3], 3],
    [[10, 9, 1], 9],
    [[100, 9, 1, 2], 5.5], // as numbers, not as words
  ])('the median of %j is %d', (values, wanted) => expect(median(values)).toBe(wanted));

  it('a percentile is the nearest rank', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect([0, 0.5, 0.99, 1].map((of) => percentile(hundred, of))).toEqual([1, 50, 99, 100]);
  });

  it('does not change what it is given', () => {
    const values = [3, 1, 2];
    spread(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it('half of the figures are on either side of the median', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1 }), (values) => {
        const { median: middle, min, max } = spread(values);
        expect(values.filter((value) => value < middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter((value) => value > middle).length).toBeLessThanOrEqual(values.length / 2);
        expect([min, max]).toEqual([Math.min(...values), Math.max(...values)]);
      }),
    );
  });

  it('there is none of nothing', () => {
    expect(() => median([])).toThrow(RangeError);
    expect(() => percentile([], 0.5)).toThrow(RangeError);
  });
});

describe('ratios', () => {
  const of = { workload: 'big', subject: 'holdfast', case: { action: 'up', replicas: 2 } } as const;
  const over = { ...of, subject: 'cp' };

  it('are taken round by round, and only then the median', () => {
    // The machine was ten times as fast in round 2: the medians by themselves would say 10 / 100.
    const rates = [
      { round: 1, holdfast: 10, cp: 20 },
      { round: 2, holdfast: 100, cp: 200 },
      { round: 3, holdfast: 5, cp: 100 },
    ];
    const samples = rates.flatMap(({ round, holdfast, cp }) => [
      sample({ round, rate: holdfast }),
      sample({ round, rate: cp, subject: 'cp' }),
    ]);
    expect(ratio(samples, of, over)).toEqual({ median: 0.5, min: 0.05, max: 0.5, count: 3 });
  });

  it('leave out rounds that lack one side, and other cases', () => {
    const samples = [
      sample({ round: 1, rate: 10 }),
      sample({ round: 2, rate: 30 }),
      sample({ round: 2, rate: 10, subject: 'cp' }),
      sample({ round: 1, rate: 1, subject: 'cp', case: { action: 'up', replicas: 3 } }),
    ];
    expect(ratio(samples, of, over)).toMatchObject({ median: 3, count: 1 });
    expect(ratio(samples, of, { ...of, subject: 'nobody' })).toBeUndefined();
  });
});
