import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, id, names } from '../support/fixture.js';

describe('tombstones of a keeper that is gone', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    const shortly = { trashRetentionMs: 0, reclaimGraceMs: 1_000, tokenLifetimeMs: 1_000 };
    tracker = await TestTracker.start({
      keepers: 3,
      settings: { ...shortly, requestRetentionMs: 1_000, retainedRequests: 0 },
    });
  });
  afterEach(() => tracker.end());

  it('are not looked through again and again', async () => {
    for (let file = 0; file < 40; file += 1) {
      await tracker.put(`/d/${file}`, { count: 40 });
      for (const keeper of tracker.keepers) await keeper.heartbeat({ slots: 0 });
    }
    const alive = tracker.keepers.slice(1);
    await tracker.pass(31_000, alive);
    await tracker.core.namespace.deleteEntry(names('/d'), true, undefined, id());
    for (let second = 0; second < 120; second += 1) {
      tracker.clock.advance(1_000);
      for (const keeper of alive) for (const task of await keeper.heartbeat()) await keeper.complete(task);
      await tracker.core.registry.tick();
      for (let step = 0; step < 20 && (await tracker.core.reclaim.step()); step += 1);
    }
    // Nothing has changed, and nothing is to be done: no step asks for another one at once.
    const more: boolean[] = [];
    for (let step = 0; step < 12; step += 1) more.push(await tracker.core.reclaim.step());
    expect(more.filter(Boolean)).toEqual([]);
  });
});
