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

const tells = (keeper: FakeKeeper, scannedPieces: number, taskId: string): void => {
  keeper.scrub = {
    ...{ scannedPieces, expectedPieces: 4, scannedBytes: 100 * scannedPieces, expectedBytes: 400 },
    ...{ corruptPieces: 0, unreadPieces: 0, cachedPieces: 0, throughChunkId: '', rounds: 0, taskId },
  };
};

it('tells how far keepers have read, and is done when every one has read all that it has', async () => {
  const [first, second, third] = tracker.keepers as [FakeKeeper, FakeKeeper, FakeKeeper];
  const jobId = await scrub();
  await tracker.core.jobs.step();
  // What a round of its own has read is not this job's.
  tells(third, 3, '');
  await third.heartbeat({ slots: 0 });
  const [task] = await second.heartbeat();
  tells(second, 3, task!.taskId);
  await second.heartbeat();
  tells(first, 4, '');
  await obey(first);
  await tracker.core.jobs.step();
  expect(await tracker.core.jobs.get(jobId)).toMatchObject({
    ...{ state: 'running', done: 7, expected: 12 },
    text: '1 of 3 keepers have read all their pieces',
  });
  // It goes on where it was, with those that are still to do it.
  await tracker.restart();
  for (const keeper of tracker.keepers) await keeper.register();
  await tracker.core.jobs.step();
  expect(await first.heartbeat()).toEqual([]);
  for (const keeper of [second, third]) await obey(keeper);
  await tracker.core.jobs.step();
  expect(await tracker.core.jobs.get(jobId)).toMatchObject({ state: 'done', done: 12, expected: 12 });
});

it('does not end because an earlier one did', async () => {
  const [first] = tracker.keepers as [FakeKeeper];
  const cancelled = await scrub([first]);
  await tracker.core.jobs.step();
  await tracker.core.jobs.cancel(cancelled);
  await obey(first);
  const jobId = await scrub([first]);
  await tracker.core.jobs.step();
  expect((await tracker.core.jobs.get(jobId)).state).toBe('running');
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
