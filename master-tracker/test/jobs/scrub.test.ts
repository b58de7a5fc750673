import { HoldfastError } from '@holdfast/shared';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker, id } from '../support/fixture.js';

let tracker: TestTracker;
beforeEach(async () => {
  tracker = await TestTracker.start({ keepers: 3 });
  await tracker.put('/file', { count: 4 });
});
afterEach(() => tracker.end());

const scrub = (keepers: readonly FakeKeeper[] = []): Promise<string> =>
  tracker.core.jobs.begin(
    'scrub',
    keepers.map((keeper) => keeper.keeperId),
    id(),
  );
const obey = async (keeper: FakeKeeper, error?: Error): Promise<void> => {
  for (const task of await keeper.heartbeat()) {
    expect(task.action.kind).toBe('scrub');
    await keeper.complete(task, error);
  }
};

it('is done when every keeper has read all that it has', async () => {
  const [first, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
  const jobId = await scrub();
  await tracker.core.jobs.step();
  await obey(first);
  await tracker.core.jobs.step();
  expect(await tracker.core.jobs.get(jobId)).toMatchObject({
    state: 'running',
    done: 4,
    expected: 12,
    text: '1 of 3 keepers have read all their pieces',
  });
  // It goes on where it was, with those that are still to do it.
  await tracker.restart();
  for (const keeper of tracker.keepers) await keeper.register();
  await tracker.core.jobs.step();
  expect(await first.heartbeat()).toEqual([]);
  for (const keeper of others) await obey(keeper);
  await tracker.core.jobs.step();
  expect(await tracker.core.jobs.get(jobId)).toMatchObject({ state: 'done', done: 12 });
});

it('of one keeper that cannot fails, and says why', async () => {
  const [first] = tracker.keepers as [FakeKeeper];
  const jobId = await scrub([first]);
  await tracker.core.jobs.step();
  await obey(first, new HoldfastError('UNIMPLEMENTED', 'this keeper is too old'));
  await tracker.core.jobs.step();
  const job = await tracker.core.jobs.get(jobId);
  expect(job.state).toBe('failed');
  expect(job.text).toMatch(/1 of 1 keepers did not: .*too old/);
});
