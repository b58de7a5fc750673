import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker } from '../support/fixture.js';

let tracker: TestTracker;
beforeEach(async () => {
  tracker = await TestTracker.start();
});
afterEach(() => tracker.end());

it('finds chunks with two pieces in a zone once another zone is back, and they are moved apart', async () => {
  for (const zone of ['a', 'a', 'b', 'b', 'c', 'c']) {
    const keeper = await tracker.addKeeper();
    keeper.zone = zone;
    keeper.incarnation += 1;
    await keeper.register();
    await keeper.report([]);
  }
  const [a1, a2, b1] = tracker.keepers as [FakeKeeper, FakeKeeper, FakeKeeper];
  const { chunkIds } = await tracker.put('/file', { count: 3, on: [a1, a2, b1] });
  const work = async (alive: readonly FakeKeeper[]): Promise<void> => {
    for (let round = 0; round < 8; round += 1) {
      await tracker.pass(1_000, alive);
      await tracker.core.placementLook.step();
      await tracker.core.repair.step();
      for (const keeper of alive) for (const task of await keeper.heartbeat()) await keeper.complete(task);
    }
  };
  const zonesOf = async (chunkId: string): Promise<string[]> =>
    Object.entries(await tracker.pieces(chunkId))
      .filter(([, state]) => state === 'durable')
      .map(([keeperId]) => tracker.core.membership.get(keeperId)!.zone)
      .sort();
  const withoutC = tracker.keepers.slice(0, 4);
  await tracker.pass(31_000, withoutC);
  await work(withoutC);
  expect(await zonesOf(chunkIds[0]!)).toEqual(['a', 'a', 'b']);
  expect(await tracker.queued()).toEqual([]);
  await work(tracker.keepers);
  for (const chunkId of chunkIds) expect(await zonesOf(chunkId)).toEqual(['a', 'b', 'c']);
  expect(await tracker.queued()).toEqual([]);
});
