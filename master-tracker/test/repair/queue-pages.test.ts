import { HoldfastError, defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker } from '../support/fixture.js';

/** As many as repair looks at in a step. */
const pageSize = 500;

describe('a long repair queue', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  const putMany = async (prefix: string, count: number, on: readonly FakeKeeper[]): Promise<string[]> => {
    const chunkIds: string[] = [];
    while (chunkIds.length < count) {
      const more = Math.min(20, count - chunkIds.length);
      const file = await tracker.put(`/${prefix}-${chunkIds.length}`, {
        count: more,
        on,
        policy: defaultPolicy,
      });
      chunkIds.push(...file.chunkIds);
    }
    return chunkIds;
  };

  it('that ends with a whole page is counted once a pass', async () => {
    const [, , ...full] = tracker.keepers;
    await putMany('file', pageSize, tracker.keepers.slice(0, 2));
    for (const keeper of full) keeper.freeBytes = 0;
    for (const keeper of full) await keeper.heartbeat({ slots: 0 });
    for (let step = 0; step < 8; step += 1) await tracker.core.repair.step();
    const { repair } = await tracker.core.status.status();
    expect(repair.blocked).toEqual([{ reason: 'no target with room', chunks: pageSize }]);
  });

  it('is not looked through again and again while the limits allow no copy more', async () => {
    const [, , ...targets] = tracker.keepers;
    await putMany('file', pageSize + 20, tracker.keepers.slice(0, 2));
    const room = async (freeBytes: number): Promise<void> => {
      for (const keeper of targets) keeper.freeBytes = freeBytes;
      for (const keeper of targets) await keeper.heartbeat({ slots: 0 });
    };
    // What waits for room is passed, and the next page follows at once.
    await room(0);
    expect(await tracker.core.repair.step()).toBe(true);
    expect(await tracker.core.repair.step()).toBe(false);
    // What is ordered fills the limits: there is nothing to do until a copy ends.
    await room(2 ** 30);
    expect(await tracker.core.repair.step()).toBe(false);
    expect((await tracker.core.status.status()).repair.copiesInFlight).toBe(64);
  });

  it('does not keep a chunk waiting that has lost all but one piece since the pass began', async () => {
    const [first, second] = tracker.keepers as [FakeKeeper, FakeKeeper];
    const on = [first, second];
    for (const keeper of tracker.keepers) keeper.totalBytes = keeper.freeBytes = 2 ** 40;
    for (const keeper of tracker.keepers) await keeper.heartbeat({ slots: 0 });
    await putMany('file', 3 * pageSize, on);
    await tracker.core.repair.step();
    const [worse = ''] = await putMany('worse', 1, on);
    const error = new HoldfastError('CHECKSUM_MISMATCH', 'damaged');
    const { identity, capacity } = second;
    await tracker.core.registry.heartbeat(
      { ...identity, capacity, activeStreams: 0, freeTaskSlots: 0, stopping: false, storageError: null },
      [],
      [{ chunkId: worse, error }],
    );
    await tracker.core.repair.step();
    const tasks = await Promise.all(tracker.keepers.map((keeper) => keeper.heartbeat({ slots: 1_000 })));
    const copied = tasks.flat().map(({ action }) => (action.kind === 'fetch' ? action.chunkId : ''));
    expect(copied).toContain(worse);
  });

  it('of pieces that cannot go yet does not keep others from going', async () => {
    const [first, second, third, fourth] = tracker.keepers as [
      FakeKeeper,
      FakeKeeper,
      FakeKeeper,
      FakeKeeper,
    ];
    const fifth = await tracker.addKeeper();
    // The storage of one can only be read: what it has is no ground to give another piece up.
    const stuck = await putMany('stuck', 300, [first, second, third, fourth]);
    const free = await putMany('free', 20, [first, second, third, fifth]);
    fourth.storageError = 'read-only';
    for (const keeper of tracker.keepers) await keeper.heartbeat({ slots: 0 });
    for (let second = 0; second < 10; second += 1) {
      tracker.clock.advance(1_000);
      for (const keeper of tracker.keepers) await keeper.heartbeat({ slots: 0 });
      while (await tracker.core.repair.step());
    }
    expect(stuck).toHaveLength(300);
    const states = await Promise.all(free.map((chunkId) => tracker.pieces(chunkId)));
    expect(states.filter((pieces) => Object.values(pieces).includes('garbage'))).toHaveLength(free.length);
  });
});
