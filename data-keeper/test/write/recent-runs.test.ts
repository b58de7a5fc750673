/** What is kept for followers is bounded for a piece and for all, in order, and given back. */
import { describe, expect, it } from '@jest/globals';
import { ByteBudget } from '@holdfast/shared';
import { RecentRuns } from '../../src/write/recent-runs.js';

const MiB = 1024 * 1024;
/** Compared by identity: a comparison byte by byte takes a second for each. */
const run = (index: number) => ({ offsetBytes: index * MiB, checksums: [], data: Buffer.alloc(MiB, index) });

describe('RecentRuns', () => {
  it('gives a follower that keeps up every run, and keeps none that it has passed', () => {
    const budget = new ByteBudget(8 * MiB);
    const recent = new RecentRuns(budget);
    for (let index = 0; index < 20; index += 1) {
      const added = run(index);
      recent.add(added);
      expect(recent.take(index * MiB) === added).toBe(true);
      expect(budget.usedBytes).toBe(MiB);
    }
    recent.clear();
    expect(budget.usedBytes).toBe(0);
  });

  it('keeps 4 MiB for one that is slow, and says from where on', () => {
    const budget = new ByteBudget(8 * MiB);
    const recent = new RecentRuns(budget);
    expect(recent.startBytes).toBe(Infinity);
    const added = Array.from({ length: 10 }, (_, index) => run(index));
    for (const each of added) recent.add(each);
    expect(budget.usedBytes).toBe(4 * MiB);
    expect(recent.take(2 * MiB)).toBeUndefined();
    expect(recent.startBytes).toBe(6 * MiB);
    expect(recent.take(6 * MiB) === added[6]).toBe(true);
    expect(recent.take(6 * MiB + 1)).toBeUndefined();
  });

  it('keeps nothing when all pieces together have no room, and goes on when they have', () => {
    const budget = new ByteBudget(2 * MiB);
    const [one, other] = [new RecentRuns(budget), new RecentRuns(budget)];
    for (let index = 0; index < 3; index += 1) one.add(run(index));
    other.add(run(0));
    expect(other.take(0)).toBeUndefined();
    expect(one.startBytes).toBe(0);
    expect(one.take(2 * MiB)).toBeUndefined();
    const added = run(1);
    other.add(added);
    expect(other.take(MiB) === added).toBe(true);
    expect(budget.usedBytes).toBe(MiB);
  });
});
