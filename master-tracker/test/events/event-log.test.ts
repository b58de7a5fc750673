import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, id } from '../support/fixture.js';

describe('the event log', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 2 });
  });
  afterEach(() => tracker.end());

  const kinds = async (afterEventId = 0) =>
    (await tracker.core.events.after(100, afterEventId)).map(({ kind, subject }) => [kind, subject]);

  it('tells of a keeper that goes and comes back, once each, also after a restart', async () => {
    const [keeper, other] = tracker.keepers.map(({ keeperId }) => keeperId);
    expect(await kinds()).toEqual([
      ['keeper-joined', keeper],
      ['keeper-joined', other],
    ]);
    await tracker.pass(31_000, tracker.keepers.slice(1));
    await tracker.keepers[0]!.register();
    const told = [
      ['keeper-suspect', keeper],
      ['keeper-dead', keeper],
      ['keeper-live', keeper],
    ];
    expect(await kinds(2)).toEqual(told);
    await tracker.restart();
    expect(await kinds(2)).toEqual(told);
  });

  it('tells of an empty storage', async () => {
    const keeper = tracker.keepers[0]!;
    keeper.storageId = id();
    await keeper.register();
    expect(await kinds(2)).toEqual([['storage-replaced', keeper.keeperId]]);
  });

  it('pages from either end', async () => {
    await tracker.pass(31_000, tracker.keepers.slice(1));
    const ids = (events: readonly { eventId: number }[]) => events.map(({ eventId }) => eventId);
    expect(ids(await tracker.core.events.latest(2, Infinity))).toEqual([4, 3]);
    expect(ids(await tracker.core.events.latest(2, 3))).toEqual([2, 1]);
    expect(ids(await tracker.core.events.after(2, 1))).toEqual([2, 3]);
  });
});
