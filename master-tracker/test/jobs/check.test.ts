import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { JobView } from '../../src/jobs/jobs.js';
import { TestTracker, id } from '../support/fixture.js';

let tracker: TestTracker;
beforeEach(async () => {
  tracker = await TestTracker.start({ keepers: 3 });
});
afterEach(() => tracker.end());

/** Steps the job to its end; the keepers have what `chunkIds` names and say so when they are asked. */
async function finish(jobId: string, chunkIds: readonly string[]): Promise<JobView> {
  for (;;) {
    await tracker.core.jobs.step();
    const job = await tracker.core.jobs.get(jobId);
    if (job.state !== 'running') return job;
    tracker.clock.advance(1_000);
    for (const keeper of tracker.keepers) {
      await keeper.heartbeat({ slots: 0 });
      if (tracker.core.reports.askedOf(keeper.keeperId) !== '') await keeper.report(chunkIds);
    }
  }
}

it('is done when all was looked at and the keepers were asked anew', async () => {
  const { chunkIds } = await tracker.put('/file', { count: 2 });
  const jobId = await tracker.core.jobs.begin('check', [], id());
  expect(await tracker.core.jobs.begin('check', [], id())).toBe(jobId);
  expect(await finish(jobId, [...chunkIds].sort())).toMatchObject({
    ...{ state: 'done', done: 2, expected: 2, findings: [], findingsTotal: 0 },
    text: expect.stringContaining('6 of 6 pieces confirmed by 3 of 3 keepers'),
  });
});

it('keeps what it found, also when the tracker is restarted in the middle', async () => {
  const { chunkIds } = await tracker.put('/file');
  await tracker.store.mutate(async ({ db }) => {
    await db.updateTable('cluster').set({ files: 7 }).execute();
    await db.deleteFrom('extents').execute();
  });
  const jobId = await tracker.core.jobs.begin('check', [], id());
  await tracker.core.jobs.step();
  await tracker.restart();
  for (const keeper of tracker.keepers) {
    await keeper.register();
    await keeper.report(chunkIds);
  }
  const job = await finish(jobId, chunkIds);
  expect(job.state).toBe('done');
  expect(job.findings.map(({ invariant, subject }) => `${invariant} ${subject}`)).toContain('S1 /file');
  expect(job.findingsTotal).toBe(job.findings.length);
});
