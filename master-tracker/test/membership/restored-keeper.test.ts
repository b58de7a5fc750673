import { hasCode } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker } from '../support/fixture.js';

describe('a keeper that was killed and restored from an older copy of its directory', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  it('is no second keeper: the first one was not heard again', async () => {
    const [keeper] = tracker.keepers as [FakeKeeper];
    keeper.incarnation = 50;
    await keeper.register();
    await keeper.report([]);
    // Killed, and there again at once; its directory has counted fewer starts.
    keeper.incarnation = 10;
    const others = tracker.keepers.slice(1);
    for (let second = 0; second < 40; second += 1) {
      await keeper.register().catch((error: unknown) => {
        if (!hasCode(error, 'STALE_EPOCH')) throw error;
      });
      await tracker.pass(1_000, others);
    }
    const kinds = (await tracker.core.events.after(100, 0)).map(({ kind }) => kind);
    expect(kinds).not.toContain('identity-conflict');
  });
});
