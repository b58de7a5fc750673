import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { checkWhole } from '../../src/check/cluster-check.js';
import { queueNextPage } from '../../src/registry/keeper-changes.js';
import { type FakeKeeper, TestTracker, names } from '../support/fixture.js';

/** More than one transaction looks at. */
const many = 1_100;

describe('chunks of a dead keeper that no page has come to', () => {
  let tracker: TestTracker;
  let alive: FakeKeeper[];
  let chunkIds: string[];
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
    const on = tracker.keepers.slice(0, 3);
    chunkIds = [];
    for (let file = 0; chunkIds.length < many; file += 1) {
      chunkIds.push(...(await tracker.put(`/file-${file}`, { count: 20, on })).chunkIds);
    }
    alive = tracker.keepers.slice(1);
    for (let second = 0; second < 31; second += 1) {
      tracker.clock.advance(1_000);
      for (const keeper of alive) await keeper.heartbeat({ slots: 0 });
      await tracker.core.registry.tick();
    }
    expect((await tracker.queued()).length).toBeLessThan(many);
  });
  afterEach(() => tracker.end());

  it('are no finding of a check but what it says of the others', async () => {
    const check = checkWhole(tracker.core.check, tracker.clock);
    let done = false;
    void check.finally(() => (done = true));
    while (!done) {
      tracker.clock.advance(1_000);
      for (const keeper of alive) {
        await keeper.heartbeat({ slots: 0 });
        if (tracker.core.reports.askedOf(keeper.keeperId) !== '')
          await keeper.report(await tracker.reported(keeper));
      }
    }
    const { findings } = await check;
    expect(findings.map(({ text }) => text).filter((text) => text.includes('not in the queue'))).toEqual([]);
    expect(findings.map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/^\d+ chunks have fewer copies/),
    );
  });

  it('are not explained as a defect', async () => {
    const texts: string[] = [];
    for (let file = 0; file < many / 20; file += 1) {
      const page = await tracker.core.explainer.explain(names(`/file-${file}`), 100, undefined);
      texts.push(...page.chunks.map(({ text }) => text));
    }
    expect(texts.filter((text) => text.includes('defect'))).toEqual([]);
    while (await queueNextPage(tracker.store, tracker.core.events));
    expect((await tracker.queued()).length).toBeGreaterThanOrEqual(many);
  });
});
