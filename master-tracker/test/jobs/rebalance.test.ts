import { defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { JobView } from '../../src/jobs/jobs.js';
import { queueForRepair } from '../../src/registry/pieces.js';
import { type FakeKeeper, TestTracker, id } from '../support/fixture.js';

describe('rebalancing', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
    for (const keeper of tracker.keepers) keeper.totalBytes = 40_000;
    for (const keeper of tracker.keepers) await keeper.heartbeat();
  });
  afterEach(() => tracker.end());

  const used = async (): Promise<Map<string, number>> => {
    const rows = await tracker.store.read(({ db }) =>
      db
        .selectFrom('pieces')
        .select(({ fn }) => ['keeper_id', fn.countAll<number>().as('pieces')])
        .where('state', '=', 'durable')
        .groupBy('keeper_id')
        .execute(),
    );
    return new Map(rows.map((row) => [row.keeper_id, row.pieces * 100]));
  };
  const begin = (): Promise<string> => tracker.core.jobs.begin('rebalance', [], id());
  const second = async (): Promise<void> => {
    const bytes = await used();
    for (const keeper of tracker.keepers) {
      keeper.freeBytes = keeper.totalBytes - (bytes.get(keeper.keeperId) ?? 0);
    }
    await tracker.pass(1_000);
    for (const keeper of tracker.keepers)
      for (const task of await keeper.heartbeat()) await keeper.complete(task);
    await tracker.core.repair.step();
    while (await tracker.core.jobs.step());
  };
  const until = async (jobId: string, is: (job: JobView) => boolean): Promise<JobView> => {
    for (let seconds = 0; seconds < 300; seconds += 1) {
      const job = await tracker.core.jobs.get(jobId);
      if (is(job)) return job;
      await second();
    }
    throw new Error(`still "${(await tracker.core.jobs.get(jobId)).text}"`);
  };
  const add = async (totalBytes: number): Promise<FakeKeeper> => {
    const keeper = await tracker.addKeeper();
    keeper.totalBytes = totalBytes;
    await keeper.heartbeat();
    return keeper;
  };

  it('gives a new keeper of twice the size its share, once, also across a restart', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 60 });
    await tracker.store.mutate((tx) => queueForRepair(tx, chunkIds));
    await until(await begin(), ({ state }) => state === 'done');
    const grown = await add(80_000);
    const before = [...(await used()).values()].reduce((sum, bytes) => sum + bytes, 0);
    const jobId = await begin();
    expect(await begin()).toBe(jobId);
    await until(jobId, (job) => job.done >= 5);
    await tracker.restart();
    for (const keeper of tracker.keepers) {
      await keeper.register();
      await keeper.report(await has(keeper));
    }
    const job = await until(jobId, ({ state }) => state !== 'running');
    expect(job).toMatchObject({ state: 'done' });
    // A mean of 18,000 of 240,000; the new one is empty, and 5 hundredths below is 2,000 of its 80,000.
    const after = await used();
    const share = (after.get(grown.keeperId) ?? 0) / 80_000;
    const mean = [...after.values()].reduce((sum, bytes) => sum + bytes, 0) / 240_000;
    expect(share).toBeGreaterThanOrEqual(mean - 0.05);
    expect(share).toBeLessThan(mean - 0.05 + 0.01);
    expect([...after.values()].reduce((sum, bytes) => sum + bytes, 0)).toBe(before);
    await second();
    await second();
    expect(await tracker.queued()).toEqual([]);
  });

  it('says when it cannot be more even, and moves nothing', async () => {
    const policy = { ...defaultPolicy, pieces: 4, minWrite: 2 };
    tracker.keepers[0]!.totalBytes = 200_000;
    await tracker.keepers[0]!.heartbeat();
    await tracker.put('/file', { count: 100, policy });
    const job = await until(await begin(), ({ state }) => state !== 'running');
    expect(job).toMatchObject({ state: 'failed', done: 0 });
    expect(job.text).toMatch(/it cannot be more even/);
  });

  it('of an even cluster ends at once', async () => {
    const job = await until(await begin(), ({ state }) => state !== 'running');
    expect(job).toMatchObject({ state: 'done', done: 0, doneBytes: 0 });
  });

  const has = async (keeper: FakeKeeper): Promise<string[]> => {
    const rows = await tracker.store.read(({ db }) =>
      db
        .selectFrom('pieces')
        .select('chunk_id')
        .where('keeper_id', '=', keeper.keeperId)
        .where('state', '=', 'durable')
        .execute(),
    );
    return rows.map((row) => row.chunk_id);
  };
});
