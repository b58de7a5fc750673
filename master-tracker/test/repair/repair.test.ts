import { HoldfastError, defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker } from '../support/fixture.js';

describe('repair', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  /** Has every live keeper do its tasks until there are none. */
  const work = async (alive = tracker.keepers): Promise<void> => {
    for (let round = 0; round < 20; round += 1) {
      await tracker.core.repair.step();
      for (const keeper of alive) {
        for (const task of await keeper.heartbeat()) await keeper.complete(task);
      }
    }
  };

  it('completes a file that was committed with fewer copies than its policy asks for', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 5, on: tracker.keepers.slice(0, 2) });
    expect(await tracker.queued()).toHaveLength(5);
    expect((await tracker.core.status.status()).summary).toMatch(/^degraded: .*5 of 5 chunks below policy/);
    await work();
    expect(await tracker.queued()).toEqual([]);
    for (const chunkId of chunkIds) expect(Object.keys(await tracker.pieces(chunkId))).toHaveLength(3);
    tracker.clock.advance(1_000);
    expect((await tracker.core.status.status()).summary).toMatch(/^healthy: 4 keepers live/);
  });

  it('copies the pieces of a dead keeper elsewhere', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    const alive = tracker.keepers.slice(1);
    await tracker.pass(31_000, alive);
    await work(alive);
    expect(await tracker.queued()).toEqual([]);
    expect((await tracker.pieces(chunkIds[0]!))[tracker.keepers[3]!.keeperId]).toBe('durable');
  });

  it('goes on after a restart, and not before it knows who is there', async () => {
    await tracker.put('/file', { on: tracker.keepers.slice(0, 2) });
    await tracker.restart();
    for (const keeper of tracker.keepers.slice(0, 3)) await keeper.register();
    await tracker.core.repair.step();
    expect((await tracker.core.status.status()).repair.copiesInFlight).toBe(0);
    await tracker.keepers[3]!.register();
    await work();
    expect(await tracker.queued()).toEqual([]);
  });

  it('withdraws the order of a copy whose only source is gone', async () => {
    const [source, ...others] = tracker.keepers;
    const policy = { ...defaultPolicy, pieces: 2, minWrite: 1 };
    await tracker.put('/file', { on: [source!], policy });
    await tracker.core.repair.step();
    expect((await tracker.core.status.status()).repair.copiesInFlight).toBe(1);
    await tracker.pass(31_000, others);
    for (const keeper of others) expect(await keeper.heartbeat()).toEqual([]);
  });

  it('tries again when a copy fails, and repeats an order whose answer was lost', async () => {
    await tracker.put('/file', { on: tracker.keepers.slice(0, 2) });
    const order = async () => {
      await tracker.core.repair.step();
      for (const keeper of tracker.keepers) {
        const [task] = await keeper.heartbeat();
        if (task) return { keeper, task };
      }
      return undefined;
    };
    const first = await order();
    expect(first?.task.action).toMatchObject({ kind: 'fetch', lengthBytes: 100 });
    expect(await order()).toBeUndefined();
    tracker.clock.advance(15_000);
    for (const keeper of tracker.keepers) await keeper.heartbeat({ slots: 0 });
    expect((await order())?.task.taskId).toBe(first?.task.taskId);
    await first!.keeper.complete(first!.task, new HoldfastError('UNAVAILABLE', 'no source answers'));
    expect((await order())?.task.taskId).not.toBe(first?.task.taskId);
  });
});
