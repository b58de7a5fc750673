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

  describe('its rate', () => {
    const rated = async (repairRateBytesPerS: number): Promise<void> => {
      await tracker.end();
      tracker = await TestTracker.start({ keepers: 4, settings: { repairRateBytesPerS } });
    };
    /** Bytes that were copied to the one keeper that can take them, in so many seconds. */
    const copiedIn = async (seconds: number): Promise<number> => {
      let copied = 0;
      for (let second = 0; second < seconds; second += 1) {
        for (let round = 0; round < 5; round += 1) {
          await tracker.core.repair.step();
          for (const keeper of tracker.keepers) {
            for (const task of await keeper.heartbeat()) {
              if (task.action.kind === 'fetch') copied += task.action.lengthBytes;
              await keeper.complete(task);
            }
          }
        }
        tracker.clock.advance(1_000);
        for (const keeper of tracker.keepers) await keeper.heartbeat({ slots: 0 });
      }
      return copied;
    };

    it('is kept for each target, and is used', async () => {
      await rated(150);
      const policy = { ...defaultPolicy, pieces: 4 };
      await tracker.put('/file', { count: 60, on: tracker.keepers.slice(0, 3), policy });
      const copied = await copiedIn(20);
      expect(copied).toBeGreaterThanOrEqual(150 * 19);
      expect(copied).toBeLessThanOrEqual(150 * 20 + 2 * 150 + 100);
    });

    it('does not hold up what is endangered', async () => {
      await rated(1);
      const policy = { ...defaultPolicy, pieces: 2, minWrite: 1 };
      const { chunkIds } = await tracker.put('/file', { count: 20, on: tracker.keepers.slice(0, 1), policy });
      expect(await copiedIn(5)).toBe(chunkIds.length * 100);
    });

    it('is no limit at 0', async () => {
      await rated(0);
      const policy = { ...defaultPolicy, pieces: 4 };
      await tracker.put('/file', { count: 20, on: tracker.keepers.slice(0, 3), policy });
      expect(await copiedIn(3)).toBe(2_000);
    });
  });

  it('gives way to clients: one ordinary copy at a time, or sixteen small ones, for who is busy', async () => {
    const policy = { ...defaultPolicy, pieces: 4 };
    await tracker.put('/file', { count: 50, on: tracker.keepers.slice(0, 3), policy });
    const target = tracker.keepers[3]!;
    target.activeStreams = 10;
    await target.heartbeat({ slots: 0 });
    await tracker.core.repair.step();
    expect(await target.heartbeat({ slots: 100 })).toHaveLength(16);
    target.activeStreams = 1;
    await target.heartbeat({ slots: 0 });
    await tracker.core.repair.step();
    expect(await target.heartbeat({ slots: 100 })).toHaveLength(16);
  });

  it('copies small pieces by the dozen for each heartbeat, and writes down together what ends together', async () => {
    const policy = { ...defaultPolicy, pieces: 4 };
    const { chunkIds } = await tracker.put('/file', {
      count: 60,
      on: tracker.keepers.slice(0, 3),
      policy,
    });
    const target = tracker.keepers[3]!;
    await tracker.core.repair.step();
    const first = await target.heartbeat({ slots: 100 });
    expect(first).toHaveLength(32);
    const before = tracker.store.transactionId;
    await Promise.all(first.map((task) => target.complete(task)));
    expect(tracker.store.transactionId).toBe(before + 2);
    await tracker.core.repair.step();
    const second = await target.heartbeat({ slots: 100 });
    expect(second).toHaveLength(28);
    await Promise.all(second.map((task) => target.complete(task)));
    for (const chunkId of chunkIds)
      expect(await tracker.pieces(chunkId)).toMatchObject({ [target.keeperId]: 'durable' });
  });

  const events = async () =>
    (await tracker.core.events.after(100, 0))
      .map(({ kind }) => kind)
      .filter((kind) => ['repair-braked', 'repair-released'].includes(kind));

  it('says when the brake takes hold, and when it lets go', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 3, on: tracker.keepers.slice(0, 3) });
    const [first, second, ...alive] = tracker.keepers;
    await tracker.pass(31_000, alive);
    await tracker.core.repair.step();
    await tracker.core.repair.step();
    expect(await events()).toEqual(['repair-braked']);
    // One piece is left of each: endangered, so copied all the same, once.
    await work(alive);
    for (const chunkId of chunkIds) {
      const pieces = await tracker.pieces(chunkId);
      expect(alive.every((keeper) => pieces[keeper.keeperId] === 'durable')).toBe(true);
    }
    for (const keeper of [first!, second!]) await keeper.register();
    await tracker.core.repair.step();
    expect(await events()).toEqual(['repair-braked', 'repair-released']);
  });

  it('does not take a keeper that was wiped again and again for many that vanished', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 3, on: tracker.keepers.slice(0, 3) });
    const [wiped, ...others] = tracker.keepers;
    const port = Number(wiped!.address.split(':')[1]);
    const again = await tracker.addKeeper(port);
    await tracker.pass(31_000, [...others, again]);
    const last = await tracker.addKeeper(port);
    const alive = [...others, last];
    await tracker.pass(31_000, alive);
    expect(tracker.core.membership.list().filter(({ state }) => state === 'dead')).toHaveLength(2);
    await tracker.core.repair.step();
    await work(alive);
    expect(await events()).toEqual([]);
    for (const chunkId of chunkIds) {
      const pieces = await tracker.pieces(chunkId);
      const there = alive.filter(({ keeperId }) => pieces[keeperId] === 'durable');
      expect(there.length).toBeGreaterThanOrEqual(3);
    }
  });

  it('under the brake copies nothing that has a copy to spare, until the keepers are given up', async () => {
    const large = await TestTracker.start({ keepers: 8 });
    try {
      const { keepers } = large;
      const { chunkIds } = await large.put('/file', { on: keepers.slice(2, 5) });
      const alive = keepers.slice(3);
      await large.pass(31_000, alive);
      const orders = async () => {
        await large.core.repair.step();
        return (await Promise.all(alive.map((keeper) => keeper.heartbeat()))).flat().length;
      };
      expect(await large.queued()).toEqual(chunkIds);
      expect(await orders()).toBe(0);
      await large.pass(10 * 60_000, alive);
      expect(await orders()).toBe(1);
    } finally {
      await large.end();
    }
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
