import { describe, expect, test } from '@jest/globals';
import { rows, summariseProcess } from '../../src/profile/summary.js';
import { always, countedByHand, recorded } from './recorded.js';

const { idle: _idle, ...busy } = countedByHand;
const busySeconds = Object.values(busy).reduce((sum, micros) => sum + micros, 0) / 1e6;
const cpu = { userSeconds: 3, systemSeconds: 1, mainThreadSeconds: 2.5 };

/** The summary if the kernel counted `countedSeconds` for the main thread while the profile was recorded. */
function summary(countedSeconds: number) {
  const recordedCpu = { userSeconds: countedSeconds, systemSeconds: 0, mainThreadSeconds: countedSeconds };
  return summariseProcess('keeper-1', cpu, { profile: recorded, window: always, cpu: recordedCpu });
}

describe('the summary of a process', () => {
  test('whatever V8 saw, the rows add up to what the kernel counted undisturbed', () => {
    for (const countedSeconds of [0, busySeconds / 3, busySeconds, busySeconds * 3]) {
      const { cpuSecondsByRow } = summary(countedSeconds);
      const whole = rows.reduce((sum, row) => sum + (cpuSecondsByRow[row] ?? 0), 0);
      expect(whole).toBeCloseTo(4, 9);
      expect(cpuSecondsByRow['other threads']).toBeCloseTo(1.5, 9);
    }
  });

  test('what the recorded run saw nothing of is in no row of JavaScript', () => {
    const nothing = {
      profile: recorded,
      window: { fromMicros: 0, toMicros: 1 },
      cpu: { userSeconds: 0, systemSeconds: 0, mainThreadSeconds: 0 },
    };
    const { cpuSecondsByRow } = summariseProcess('tracker', cpu, nothing);
    expect(cpuSecondsByRow).toEqual({ 'native, outside JavaScript': 2.5, 'other threads': 1.5 });
  });

  test('samples of a thread that waited for a CPU count less, all alike', () => {
    const { cpuSecondsByRow } = summary(busySeconds / 3);
    expect(cpuSecondsByRow.checksums).toBeCloseTo((2.5 * busy.checksums) / 1e6 / busySeconds, 9);
    const native = busy['native, outside JavaScript'];
    expect(cpuSecondsByRow['native, outside JavaScript']).toBeCloseTo((2.5 * native) / 1e6 / busySeconds, 9);
  });

  test('what the kernel counted and V8 took for idle is native code', () => {
    const { cpuSecondsByRow } = summary(busySeconds * 2);
    expect(cpuSecondsByRow.checksums).toBeCloseTo((2.5 * busy.checksums) / 1e6 / (busySeconds * 2), 9);
    const native = busySeconds + busy['native, outside JavaScript'] / 1e6;
    expect(cpuSecondsByRow['native, outside JavaScript']).toBeCloseTo((2.5 * native) / (busySeconds * 2), 9);
  });

  test('the hottest functions have places that are the same on every machine', () => {
    const names = summary(busySeconds).hottest.map(({ name }) => name);
    expect(names[0]).toMatch(/^settle data-keeper\/dist\/write\/stall\.js:\d+$/);
    expect(names).toContainEqual(expect.stringMatching(/^writeBuffer node:internal\/fs\/promises:\d+$/));
    expect(names).toContainEqual(expect.stringMatching(/^startRead @grpc\/grpc-js\/build\/src\/.*\.js:\d+$/));
    expect(names.join()).not.toContain('(idle)');
  });
});
