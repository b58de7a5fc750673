import { describe, expect, test } from '@jest/globals';
import { cpuTimes, cpuTimesSince, parseStat } from '../../src/profile/cpu-times.js';

const stat =
  '7 (a) R 99 (b)) S 1 7 7 0 -1 4194560 9 0 0 0 1234 567 89 10 20 0 11 0 100 1000 200 18446744073709551615';

describe('CPU times', () => {
  test('are read whatever the program is called', () => {
    expect(parseStat(stat)).toEqual({ userSeconds: 12.34, systemSeconds: 5.67 });
  });

  (process.platform === 'linux' ? test : test.skip)('grow as the process works', () => {
    const before = cpuTimes(process.pid);
    let now = before;
    // The kernel counts in steps, and gives up nothing: work until it shows.
    while (cpuTimesSince(before, now).userSeconds === 0) now = cpuTimes(process.pid);
    const since = cpuTimesSince(before, now);
    expect(since.userSeconds).toBeGreaterThan(0);
    expect(since.systemSeconds).toBeGreaterThanOrEqual(0);
    expect(now.mainThreadSeconds).toBeLessThanOrEqual(now.userSeconds + now.systemSeconds);
  });
});
