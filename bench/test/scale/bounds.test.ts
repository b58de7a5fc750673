import { describe, expect, it } from '@jest/globals';
import { allowedGrowth, missedBounds } from '../../src/scale/bounds.js';

const fine = {
  ...{ seconds: 1, cpuSeconds: 1, longestHoldMs: 900, longestHoldCpuMs: 20 },
  ...{ peakResidentBytes: 200e6, count: 1_000 },
};
const bounds = { cpuSeconds: 5, growth: allowedGrowth };

describe('the bounds of the tracker’s big jobs', () => {
  it('are kept by what costs four times as much for four times as much', () => {
    expect(missedBounds('death', bounds, fine, { ...fine, cpuSeconds: 4 })).toEqual([]);
  });

  it.each([
    ['time', { cpuSeconds: 5.1 }, { cpuSeconds: 2 }],
    ['growth', { cpuSeconds: 4.5 }, {}],
    ['a hold', { cpuSeconds: 4, longestHoldCpuMs: 101 }, {}],
    ['a hold of the smaller one', { cpuSeconds: 4 }, { longestHoldCpuMs: 101 }],
    ['memory', { cpuSeconds: 4, peakResidentBytes: 600e6 }, {}],
  ])('are missed by %s', (_what, big, small) => {
    const missed = missedBounds('death', bounds, { ...fine, ...small }, { ...fine, ...big });
    expect(missed).toHaveLength(1);
  });

  it('ask nothing of the growth of what takes no time, or should take as long however much there is', () => {
    const quick = { ...fine, cpuSeconds: 0.001 };
    expect(missedBounds('death', bounds, quick, { ...fine, cpuSeconds: 0.05 })).toEqual([]);
    expect(missedBounds('status', { cpuSeconds: 1 }, quick, { ...fine, cpuSeconds: 0.9 })).toEqual([]);
  });
});
