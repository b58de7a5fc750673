import { HoldfastError } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker, id } from '../support/fixture.js';

describe('draining when a storage can only be read', () => {
  let tracker: TestTracker;
  let disks: Map<FakeKeeper, Set<string>>;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 5 });
    disks = new Map(tracker.keepers.map((keeper) => [keeper, new Set<string>()]));
  });
  afterEach(() => tracker.end());

  const failed = new HoldfastError('DISK_FAILED', 'the storage can only be read');

  const seconds = async (count: number): Promise<void> => {
    for (let second = 0; second < count; second += 1) {
      tracker.clock.advance(1_000);
      for (const keeper of tracker.keepers) {
        const disk = disks.get(keeper)!;
        for (const task of await keeper.heartbeat()) {
          const isRefused = keeper.storageError !== null;
          if (task.action.kind === 'fetch' && !isRefused) disk.add(task.action.chunkId);
          if (task.action.kind === 'trash' && !isRefused)
            for (const gone of task.action.chunkIds) disk.delete(gone);
          await keeper.complete(task, isRefused ? failed : undefined);
        }
        if (tracker.core.reports.askedOf(keeper.keeperId) !== '') await keeper.report([...disk]);
      }
      await tracker.core.registry.tick();
      await tracker.core.repair.step();
      await tracker.core.reclaim.step();
      await tracker.core.jobs.step();
    }
  };

  const put = async (on: readonly FakeKeeper[]): Promise<void> => {
    const { chunkIds } = await tracker.put('/file', { on, count: 10 });
    for (const keeper of on) for (const chunkId of chunkIds) disks.get(keeper)!.add(chunkId);
  };

  it('ends for the keeper itself: what it cannot remove stays on it', async () => {
    const [leaver] = tracker.keepers as [FakeKeeper];
    await put(tracker.keepers.slice(0, 3));
    leaver.storageError = failed.message;
    const jobId = await tracker.core.jobs.begin('drain', [leaver.keeperId], id());
    await seconds(60);
    const job = await tracker.core.jobs.get(jobId);
    expect(job.state).toBe('done');
    expect(job.text).toMatch(/can be taken away.*10 pieces .* stay on it/);
  });

  it('does not wait for ever for a keeper that has another copy', async () => {
    const [leaver, readOnly] = tracker.keepers as [FakeKeeper, FakeKeeper];
    await put(tracker.keepers.slice(0, 3));
    readOnly.storageError = failed.message;
    const jobId = await tracker.core.jobs.begin('drain', [leaver.keeperId], id());
    await seconds(60);
    expect(await tracker.core.jobs.get(jobId)).toMatchObject({ state: 'done' });
  });
});
