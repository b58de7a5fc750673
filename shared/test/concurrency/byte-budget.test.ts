import { describe, expect, it } from '@jest/globals';
import { ByteBudget } from '../../src/concurrency/byte-budget.js';

describe('ByteBudget', () => {
  it('never hands out more than it has, first come first served', async () => {
    const budget = new ByteBudget(10);
    const order: string[] = [];
    const releaseA = await budget.take(6);
    const b = budget.take(6).then((release) => (order.push('b'), release));
    const c = budget.take(1).then((release) => (order.push('c'), release));
    // c would fit, but b was there first.
    expect(budget.tryTake(1)).toBeUndefined();
    expect(budget.usedBytes).toBe(6);
    releaseA();
    releaseA();
    const releases = await Promise.all([b, c]);
    expect(order).toEqual(['b', 'c']);
    expect(budget.usedBytes).toBe(7);
    for (const release of releases) release();
    expect(budget.usedBytes).toBe(0);
  });

  it('lets a request larger than the budget through alone', async () => {
    const budget = new ByteBudget(10);
    const release = await budget.take(100);
    expect(budget.tryTake(1)).toBeUndefined();
    release();
    expect(budget.tryTake(1)).toBeDefined();
  });

  it('forgets a waiter that gave up and serves the one behind it', async () => {
    const budget = new ByteBudget(10);
    await budget.take(5);
    const controller = new AbortController();
    const large = budget.take(9, controller.signal);
    const small = budget.take(5);
    controller.abort();
    await expect(large).rejects.toMatchObject({ code: 'CANCELLED' });
    await small;
    expect(budget).toMatchObject({ usedBytes: 10, waiting: 0 });
  });
});
