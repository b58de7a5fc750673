import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker } from '../support/fixture.js';

let tracker: TestTracker;
beforeEach(async () => {
  tracker = await TestTracker.start();
});
afterEach(() => tracker.end());

const addZones = async (...zones: readonly string[]): Promise<void> => {
  for (const zone of zones) {
    const keeper = await tracker.addKeeper();
    keeper.zone = zone;
    keeper.incarnation += 1;
    await keeper.register();
    await keeper.report([]);
  }
};

it('is told as it is found, and what was not looked at is not claimed', async () => {
  await addZones('a', 'a', 'b', 'c');
  await tracker.put('/file', { count: 3, on: tracker.keepers.slice(0, 3) });
  const status = async () => {
    tracker.clock.advance(1_000);
    return tracker.core.status.status();
  };
  await tracker.core.repair.step();
  const unlooked = await status();
  expect(unlooked.chunksBadlyPlaced).toBe(0);
  expect(unlooked.repair.text).toMatch(/Whether copies share a zone was looked at for 0 of 3 chunks since/);
  await tracker.core.placementLook.step();
  await tracker.core.repair.step();
  const looked = await status();
  expect(looked).toMatchObject({
    chunksBadlyPlaced: 3,
    chunksBelowPolicy: 0,
    summary: expect.stringMatching(
      /^healthy: .*every chunk has all its copies, 3 with two of them in one zone$/,
    ),
  });
  expect(looked.repair.text).not.toMatch(/share a zone/);
  for (let round = 0; round < 8; round += 1) {
    await tracker.pass(1_000);
    for (const keeper of tracker.keepers)
      for (const task of await keeper.heartbeat()) await keeper.complete(task);
    await tracker.core.repair.step();
  }
  expect((await status()).chunksBadlyPlaced).toBe(0);
  // A new start of the tracker has looked at nothing, and cannot while it does not know who is there.
  await tracker.restart();
  await tracker.core.placementLook.step();
  expect((await status()).repair.text).toMatch(/looked at for 0 of 3 chunks/);
});

it('finds chunks with two pieces in a zone once another zone is back, and they are moved apart', async () => {
  await addZones('a', 'a', 'b', 'b', 'c', 'c');
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
