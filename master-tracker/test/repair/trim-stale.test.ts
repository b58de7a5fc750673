import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker, id, pieceOf } from '../support/fixture.js';

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

  it.each(['before', 'after'])(
    'is not counted again by a report that the keeper began by itself, with the order %s it',
    async (order) => {
      const { chunkId, victim } = await surplus();
      const page = { ...victim.identity, reportId: id(), wantedReport: '' };
      const send = (number: number, pieces: readonly string[], last: boolean) =>
        tracker.core.registry.report(victim.identity, {
          ...{ ...page, page: number, last, pieces: pieces.map((each) => pieceOf(each)) },
        });
      if (order === 'before') await tracker.core.reclaim.step();
      // It lists what it has from here on; a slow disk takes its time.
      await send(0, [], false);
      const work = async (): Promise<void> => {
        await tracker.core.reclaim.step();
        for (const task of await victim.heartbeat()) await victim.complete(task);
      };
      await work();
      const isTrashed = (await tracker.pieces(chunkId))[victim.keeperId] === 'trashed';
      expect(isTrashed).toBe(order === 'before');
      await tracker.pass(40_000);
      await send(1, [chunkId], true);
      expect((await tracker.pieces(chunkId))[victim.keeperId]).not.toBe('durable');
      for (let round = 0; round < 3; round += 1) await work();
      await tracker.pass(40_000);
      // The tombstone is gone, and nothing is left to be done.
      expect((await tracker.pieces(chunkId))[victim.keeperId]).toBeUndefined();
    },
  );

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
