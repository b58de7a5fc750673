import { describe, expect, test } from '@jest/globals';
import { type CpuProfile, selfTimes } from '../../src/profile/cpu-profile.js';
import { always, countedByHand, recorded } from './recorded.js';

const frame = (functionName: string) => ({ functionName, url: '', lineNumber: -1 });

/** `a` calls `b`. Samples: b at 110, a at 130, b at 160, the end at 200. */
const profile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('a'), children: [2] },
    { id: 2, callFrame: frame('b') },
  ],
  startTime: 100,
  samples: [2, 1, 2, 1],
  timeDeltas: [10, 20, 30, 40],
};

function named(times: ReturnType<typeof selfTimes>): Record<string, number> {
  return Object.fromEntries(
    [...times].map(([stack, micros]) => [stack.map(({ functionName }) => functionName).join('<'), micros]),
  );
}

describe('self times', () => {
  test('a stack is on top from its sample to the next', () => {
    expect(named(selfTimes(profile, always))).toEqual({ 'b<a': 20 + 40, a: 30 });
  });

  test('only what lies in the window counts', () => {
    expect(named(selfTimes(profile, { fromMicros: 120, toMicros: 170 }))).toEqual({ 'b<a': 10 + 10, a: 30 });
    expect(named(selfTimes(profile, { fromMicros: 300, toMicros: 400 }))).toEqual({});
  });

  test('in a recorded profile they add up to the time between its first and its last sample', () => {
    const whole = [...selfTimes(recorded, always).values()].reduce((sum, micros) => sum + micros, 0);
    expect(whole).toBe(Object.values(countedByHand).reduce((sum, micros) => sum + micros, 0));
    expect(whole).toBe(recorded.timeDeltas.slice(1).reduce((sum, micros) => sum + micros, 0));
  });
});
