/** The pace of a scrub: even, bounded, polite, and in time. */
import { describe, expect, it } from '@jest/globals';
import { type PaceLimits, dueInMs, plannedMs, restMs, workOf } from '../../src/scrub/scrub-pace.js';

const dayMs = 86_400_000;
const limits: PaceLimits = { periodMs: 21 * dayMs, share: 0.25, shareBesideClients: 0.05 };

/**
 * Lets a round run on a disk of `bytesPerMs`, with clients there always or never: when each piece was done, and which
 * part of the disk's time it took.
 */
function simulate(pieces: number, pieceBytes: number, bytesPerMs: number, hasClients: boolean) {
  const expected = workOf({ pieces, bytes: pieces * pieceBytes });
  let elapsedMs = 0;
  let readMs = 0;
  const doneAtMs: number[] = [];
  for (let n = 1; n <= pieces; n += 1) {
    const standing = { done: workOf({ pieces: n, bytes: n * pieceBytes }), expected, isUrgent: false };
    elapsedMs += dueInMs({ ...standing, elapsedMs }, limits);
    const spentMs = pieceBytes / bytesPerMs;
    readMs += spentMs;
    elapsedMs += spentMs + restMs(spentMs, { elapsedMs, isUrgent: false }, hasClients, limits);
    doneAtMs.push(elapsedMs);
  }
  return { doneAtMs, share: readMs / elapsedMs };
}

describe('a round', () => {
  it('is spread evenly over its time, and ends before the period does', () => {
    // 1 TiB in 16,384 pieces, 100 MiB/s.
    const { doneAtMs, share } = simulate(16_384, 64 * 2 ** 20, (100 * 2 ** 20) / 1_000, true);
    expect(doneAtMs.at(-1)).toBeLessThan(0.81 * limits.periodMs);
    expect(doneAtMs.at(-1)).toBeGreaterThan(0.79 * limits.periodMs);
    for (const part of [0.25, 0.5, 0.75]) {
      const atMs = doneAtMs[Math.floor(16_384 * part)]!;
      expect(atMs / plannedMs(limits)).toBeCloseTo(part, 2);
    }
    expect(share).toBeLessThan(0.01);
  });

  it('of a disk that is very full never takes more than its share, and gives way to clients while it can', () => {
    const bytesPerMs = (100 * 2 ** 20) / 1_000;
    // 8 TiB take 24 h: 5 % of the time is too little for them, 25 % after the planned time is over is enough.
    const busy = simulate(131_072, 64 * 2 ** 20, bytesPerMs, true);
    expect(busy.doneAtMs.at(-1)).toBeLessThan(limits.periodMs);
    expect(busy.share).toBeLessThan(0.06);
    const idle = simulate(200_000, 64 * 2 ** 20, bytesPerMs, false);
    expect(idle.share).toBeLessThanOrEqual(0.2501);
  });

  it('that somebody waits for takes an idle disk whole, and its share of one that clients use', () => {
    expect(dueInMs({ elapsedMs: 0, done: 1, expected: 1, isUrgent: true }, limits)).toBe(0);
    const standing = { elapsedMs: 0, isUrgent: true };
    expect(restMs(10, standing, false, limits)).toBe(0);
    expect(restMs(10, standing, true, limits)).toBe(30);
  });

  it('counts the finding of small pieces as work', () => {
    expect(workOf({ pieces: 1_000, bytes: 1_000 })).toBeGreaterThan(workOf({ pieces: 1, bytes: 1_000_000 }));
  });
});
