import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker } from '../support/fixture.js';

describe('a piece that was given up', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  /** A chunk with a piece too many; the keeper that is to give its one up. */
  const surplus = async (): Promise<{ chunkId: string; victim: FakeKeeper }> => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers });
    const [chunkId = ''] = chunkIds;
    await tracker.core.repair.step();
    const states = await tracker.pieces(chunkId);
    const victim = tracker.keepers.find(({ keeperId }) => states[keeperId] === 'garbage');
    if (!victim) throw new Error('nothing was given up');
    return { chunkId, victim };
  };

  it('is not counted again by a report whose first page took long', async () => {
    // As for a check of the cluster: every keeper is to report anew, and begins to list what it has.
    for (const { keeperId } of tracker.keepers) {
      tracker.core.reports.requireSince(keeperId, tracker.store.transactionId);
    }
    const { chunkId, victim } = await surplus();
    await tracker.core.reclaim.step();
    for (const task of await victim.heartbeat()) await victim.complete(task);
    await tracker.pass(40_000);
    await victim.report([chunkId]);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).not.toBe('durable');
  });
});
