import { defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { JobView } from '../../src/jobs/jobs.js';
import { type FakeKeeper, TestTracker, fileOf, id, pieceOf, sealedOf } from '../support/fixture.js';

describe('draining a keeper that is being written to', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 1 });
  });
  afterEach(() => tracker.end());

  const seconds = async (count: number, on: ReadonlyMap<FakeKeeper, Set<string>>): Promise<void> => {
    for (let second = 0; second < count; second += 1) {
      tracker.clock.advance(1_000);
      for (const [keeper, disk] of on) {
        for (const task of await keeper.heartbeat()) {
          if (task.action.kind === 'fetch') disk.add(task.action.chunkId);
          if (task.action.kind === 'trash') for (const gone of task.action.chunkIds) disk.delete(gone);
          await keeper.complete(task);
        }
        if (tracker.core.reports.askedOf(keeper.keeperId) !== '') await keeper.report([...disk]);
      }
      await tracker.core.registry.tick();
      await tracker.core.repair.step();
      await tracker.core.reclaim.step();
      await tracker.core.jobs.step();
    }
  };

  it('does not end before the upload has, whose only copy is there', async () => {
    const [leaver] = tracker.keepers as [FakeKeeper];
    const disks = new Map([[leaver, new Set<string>()]]);
    const policy = { ...defaultPolicy, pieces: 1, minWrite: 1 };
    const { session, chunkIds } = await tracker.begin({ policy });
    const [chunkId = ''] = chunkIds;
    disks.set(await tracker.addKeeper(), new Set());
    const jobId = await tracker.core.jobs.begin('drain', [leaver.keeperId], id());
    // The client has written its chunk, and its receipts are on their way to the tracker.
    disks.get(leaver)!.add(chunkId);
    await leaver.heartbeat({ stored: [pieceOf(chunkId)] });
    await seconds(10, disks);
    const job: JobView = await tracker.core.jobs.get(jobId);
    expect(job.text).toMatch(/1 piece belongs? to uploads that have not ended/);
    expect(job.state).toBe('running');

    await tracker.core.uploads.commit(
      session.uploadId,
      id(),
      [fileOf('/file', [chunkId])],
      [sealedOf(chunkId, [leaver])],
    );
    await seconds(20, disks);
    expect((await tracker.core.jobs.get(jobId)).state).toBe('done');
    expect(disks.get(leaver)!.size).toBe(0);
  });
});
