/** A keeper with more pieces than one transaction may look at dies, and returns. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { queueNextPage } from '../../src/registry/keeper-changes.js';
import { unreadableOn } from '../../src/registry/pieces.js';
import { TestTracker } from '../support/fixture.js';

/** Two whole pages and a part of a third. */
const chunks = 2_300;

describe('the death of a keeper with many pieces', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
    for (let stored = 0; stored < chunks; stored += 100) {
      await tracker.put(`/file-${stored}`, { count: 100 });
      // They tell that there is room still.
      for (const keeper of tracker.keepers) await keeper.heartbeat();
    }
  });
  afterEach(() => tracker.end());

  const belowPolicy = async (): Promise<number> => {
    // A count is good for a moment.
    tracker.clock.advance(100_000);
    return (await tracker.core.status.status()).chunksBelowPolicy;
  };
  const die = (): Promise<void> => tracker.pass(31_000, tracker.keepers.slice(1));

  it('is in force at once, and queues a page at a time', async () => {
    await die();
    expect(await tracker.queued()).toHaveLength(1_000);
    expect(await belowPolicy()).toBe(chunks);
    expect(await queueNextPage(tracker.store, tracker.core.events)).toBe(true);
    expect(await tracker.queued()).toHaveLength(2_000);
    expect(await belowPolicy()).toBe(chunks);
    expect((await tracker.core.status.status()).summary).toMatch(/^degraded: .*2300 of 2300 chunks/);
    expect(await queueNextPage(tracker.store, tracker.core.events)).toBe(true);
    expect(await tracker.queued()).toHaveLength(chunks);
    expect(await queueNextPage(tracker.store, tracker.core.events)).toBe(false);
    expect(await belowPolicy()).toBe(chunks);
  });

  it('tells what nobody has any more, of so many as one look may count', async () => {
    await tracker.pass(31_000, []);
    while (await queueNextPage(tracker.store, tracker.core.events));
    const lost = (await tracker.core.events.latest(100, Infinity)).filter(
      ({ kind }) => kind === 'chunk-lost',
    );
    expect(lost[0]?.text).toMatch(/^2300 chunks that only this keeper had/);
    const { keeperId } = tracker.keepers[0]!;
    const look = (maxLooked?: number) =>
      tracker.store.read((snapshot) => unreadableOn(snapshot, keeperId, maxLooked));
    expect(await look()).toMatchObject({ chunks: 2_300, atLeast: false });
    expect(await look(100)).toMatchObject({ chunks: 100, atLeast: true });
  });

  it('goes on by itself', async () => {
    tracker.core.workers.start();
    try {
      await die();
      while ((await tracker.queued()).length < chunks) {
        tracker.clock.advance(10);
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      const stopped = tracker.core.workers.stop();
      tracker.clock.advance(10_000);
      await stopped;
    }
  });

  it('queues nothing more when the keeper is back', async () => {
    await die();
    await tracker.keepers[0]!.heartbeat();
    while (await queueNextPage(tracker.store, tracker.core.events));
    expect(await tracker.queued()).toHaveLength(1_000);
    while (await tracker.core.repair.step());
    expect(await tracker.queued()).toEqual([]);
    expect(await belowPolicy()).toBe(0);
  });

  it('begins anew after a crash in the middle, once the leases of the new start are over', async () => {
    await die();
    await tracker.restart();
    while (await queueNextPage(tracker.store, tracker.core.events));
    expect(await tracker.queued()).toHaveLength(1_000);
    for (const keeper of tracker.keepers.slice(1)) await keeper.register();
    await die();
    while (await queueNextPage(tracker.store, tracker.core.events));
    expect(await tracker.queued()).toHaveLength(chunks);
  });
});
