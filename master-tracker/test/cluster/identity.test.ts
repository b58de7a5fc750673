import { expect, it } from '@jest/globals';
import { TestTracker } from '../support/fixture.js';

it('every start of a tracker has the next epoch and an instance of its own, in one cluster', async () => {
  const tracker = await TestTracker.start();
  const starts = [tracker.core.identity];
  for (let restart = 0; restart < 2; restart += 1) {
    await tracker.restart();
    starts.push(tracker.core.identity);
  }
  expect(starts.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
  expect(new Set(starts.map(({ instanceId }) => instanceId)).size).toBe(3);
  expect(new Set(starts.map(({ clusterId }) => clusterId)).size).toBe(1);
  await tracker.end();
});
