import { defaultPolicy, hasCode } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { JobView } from '../../src/jobs/jobs.js';
import { queueNextPage } from '../../src/registry/keeper-changes.js';
import { type FakeKeeper, TestTracker, failure, fileOf, id, pieceOf, sealedOf } from '../support/fixture.js';

describe('draining a keeper', () => {
  let tracker: TestTracker;
  /** What is really on each keeper. */
  let disks: Map<FakeKeeper, Set<string>>;

  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 5 });
    disks = new Map(tracker.keepers.map((keeper) => [keeper, new Set<string>()]));
  });
  afterEach(() => tracker.end());

  const put = async (path: string, on: readonly FakeKeeper[], count = 1): Promise<string[]> => {
    const { chunkIds } = await tracker.put(path, { on, count });
    for (const keeper of on) for (const chunkId of chunkIds) disks.get(keeper)!.add(chunkId);
    return chunkIds;
  };
  const add = async (): Promise<FakeKeeper> => {
    const keeper = await tracker.addKeeper();
    disks.set(keeper, new Set());
    return keeper;
  };
  /** A second of every keeper's and worker's life. */
  const second = async (alive: readonly FakeKeeper[] = tracker.keepers): Promise<void> => {
    tracker.clock.advance(1_000);
    for (const keeper of alive) {
      const tasks = await keeper.heartbeat().catch(async (error: unknown) => {
        if (!hasCode(error, 'NOT_REGISTERED')) throw error;
        await keeper.register();
        await keeper.report([...disks.get(keeper)!]);
        return [];
      });
      for (const task of tasks) {
        const { action } = task;
        if (action.kind === 'fetch') disks.get(keeper)!.add(action.chunkId);
        if (action.kind === 'trash') for (const gone of action.chunkIds) disks.get(keeper)!.delete(gone);
        await keeper.complete(task);
      }
      const isAsked = tracker.core.reports.askedOf(keeper.keeperId) !== '';
      if (isAsked) await keeper.report([...disks.get(keeper)!]);
    }
    await tracker.core.registry.tick();
    await tracker.core.repair.step();
    await tracker.core.reclaim.step();
    await tracker.core.jobs.step();
  };
  const until = async (
    jobId: string,
    is: (job: JobView) => boolean,
    alive: readonly FakeKeeper[] = tracker.keepers,
  ): Promise<JobView> => {
    for (let seconds = 0; seconds < 200; seconds += 1) {
      const job = await tracker.core.jobs.get(jobId);
      if (is(job)) return job;
      await second(alive);
    }
    throw new Error(`still "${(await tracker.core.jobs.get(jobId)).text}"`);
  };
  const drain = (keeper: FakeKeeper, requestId = id()): Promise<string> =>
    tracker.core.jobs.begin('drain', [keeper.keeperId], requestId);
  const events = async (): Promise<string[]> =>
    (await tracker.core.events.latest(100, Infinity)).map((event) => event.kind);

  it('moves every piece elsewhere, has it counted once more, and then says so', async () => {
    const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const chunkIds = await put('/file', [leaver, ...others.slice(0, 2)], 60);
    const jobId = await drain(leaver);
    expect(tracker.core.membership.placementCandidates()).toHaveLength(4);
    const half = await until(jobId, (job) => job.done >= 30);
    expect(half).toMatchObject({
      kind: 'drain',
      state: 'running',
      expected: 60,
      keeperIds: [leaver.keeperId],
    });
    expect(half.remainingMs).toBeGreaterThan(0);
    const job = await until(jobId, ({ state }) => state !== 'running');
    expect(job).toMatchObject({ state: 'done', done: 60, expected: 60, doneBytes: 6_000 });
    expect(job.text).toMatch(/empty by its own report/);
    expect(disks.get(leaver)!.size).toBe(0);
    for (const chunkId of chunkIds) {
      expect(others.filter((keeper) => disks.get(keeper)!.has(chunkId))).toHaveLength(3);
    }
    expect(await events()).toEqual(expect.arrayContaining(['job-started', 'job-finished']));
    // It stays out until that is undone.
    expect(tracker.core.membership.placementCandidates()).toHaveLength(4);
    const undone = await tracker.core.jobs.cancel(jobId);
    expect(tracker.core.membership.placementCandidates()).toHaveLength(5);
    expect(undone).toMatchObject({
      state: 'done',
      text: 'was done, and undone since: the keeper takes pieces again',
    });
    expect(await tracker.core.jobs.cancel(jobId)).toEqual(undone);
    const told = (await tracker.core.events.latest(100, Infinity)).filter(
      ({ kind }) => kind === 'job-cancelled',
    );
    expect(told).toMatchObject([
      { subject: jobId, text: expect.stringMatching(/was done, was undone: the keeper takes/) },
    ]);
  });

  it('does not believe a count of zero that the keeper contradicts', async () => {
    const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const [late] = (await put('/late', others.slice(0, 3))) as [string];
    const jobId = await drain(leaver);
    // A copy that nobody told the tracker of.
    disks.get(leaver)!.add(late);
    const job = await until(jobId, ({ state }) => state !== 'running');
    expect(job.state).toBe('done');
    expect(disks.get(leaver)!.size).toBe(0);
  });

  it('says what it lacks, and goes on by itself when that comes', async () => {
    const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const stay = [leaver, ...others.slice(0, 2)];
    await put('/file', stay, 3);
    const full = others.slice(2);
    for (const keeper of full) keeper.freeBytes = 0;
    await second();
    const jobId = await drain(leaver);
    const stuck = await until(jobId, ({ text }) => text.includes('waits'));
    expect(stuck.text).toMatch(
      /0 of 3 pieces are elsewhere; waits: 3 chunks, no target with room: add a keeper/,
    );
    await add();
    expect((await until(jobId, ({ state }) => state !== 'running')).state).toBe('done');
  });

  it('goes on after a restart of the tracker', async () => {
    const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    await put('/file', [leaver, ...others.slice(0, 2)], 10);
    const jobId = await drain(leaver);
    await until(jobId, (job) => job.done >= 3);
    await tracker.restart();
    expect(tracker.core.membership.get(leaver.keeperId)?.draining).toBe(true);
    expect((await until(jobId, ({ state }) => state !== 'running')).state).toBe('done');
    expect(disks.get(leaver)!.size).toBe(0);
  });

  it('that is cancelled lets the keeper take pieces again, and trims what was copied for it', async () => {
    const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const chunkIds = await put('/file', [leaver, ...others.slice(0, 2)], 10);
    const jobId = await drain(leaver);
    await until(jobId, (job) => job.done >= 3);
    const cancelled = await tracker.core.jobs.cancel(jobId);
    expect(cancelled).toMatchObject({ state: 'cancelled' });
    expect(await tracker.core.jobs.cancel(jobId)).toMatchObject({ state: 'cancelled' });
    expect((await events()).filter((kind) => kind === 'job-cancelled')).toHaveLength(1);
    expect(tracker.core.membership.placementCandidates()).toHaveLength(5);
    for (let seconds = 0; seconds < 60; seconds += 1) await second();
    expect(await tracker.queued()).toEqual([]);
    for (const chunkId of chunkIds) {
      expect(tracker.keepers.filter((keeper) => disks.get(keeper)!.has(chunkId))).toHaveLength(3);
    }
  });

  it('includes what uploads that began before bring there', async () => {
    const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const { session, chunkIds } = await tracker.begin({ path: '/slow' });
    const jobId = await drain(leaver);
    const [chunkId] = chunkIds as [string];
    const on = [leaver, ...others.slice(0, 2)];
    for (const keeper of on) disks.get(keeper)!.add(chunkId);
    await leaver.heartbeat({ stored: [pieceOf(chunkId)], slots: 0 });
    await tracker.core.uploads.commit(
      session.uploadId,
      id(),
      [fileOf('/slow', chunkIds)],
      [sealedOf(chunkId, on)],
    );
    expect(await tracker.queued()).toEqual(chunkIds);
    expect((await until(jobId, ({ state }) => state !== 'running')).state).toBe('done');
    expect(disks.get(leaver)!.size).toBe(0);
  });

  it('waits for uploads that may still bring something there', async () => {
    const [leaver] = tracker.keepers as [FakeKeeper];
    const policy = { ...defaultPolicy, pieces: 5 };
    const { session } = await tracker.begin({ path: '/slow', policy });
    const jobId = await drain(leaver);
    for (let seconds = 0; seconds < 5; seconds += 1) await second();
    expect((await tracker.core.jobs.get(jobId)).text).toMatch(
      /1 piece belongs to uploads that have not ended/,
    );
    await tracker.core.uploads.abort(session.uploadId);
    expect((await until(jobId, ({ state }) => state !== 'running')).state).toBe('done');
  });

  describe('that dies', () => {
    it('goes on while repair copies what it had, and ends when every chunk is whole without it', async () => {
      const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
      await put('/file', [leaver, ...others.slice(0, 2)], 200);
      const jobId = await drain(leaver);
      await until(jobId, ({ done }) => done >= 4);
      for (const keeper of others) keeper.freeBytes = 0;
      const copying = await until(jobId, ({ text }) => text.includes('gone: '), others);
      for (const keeper of others) keeper.freeBytes = 1_000_000_000;
      expect(copying).toMatchObject({ state: 'running', expected: 200 });
      expect(copying.text).toMatch(
        /the keeper is gone: \d+ of 200 chunks that it had lacks? copies elsewhere.*no target/,
      );
      const job = await until(jobId, ({ state }) => state !== 'running', others);
      expect(job).toMatchObject({ state: 'done', done: 200, expected: 200 });
      expect(job.text).toMatch(
        /gone, and every chunk that it had has all its copies on others: it can be forgotten/,
      );
      expect(await tracker.queued()).toEqual([]);
      expect(await events()).toContain('job-finished');
      await tracker.core.keeperCare.forget(leaver.keeperId, id());
    });

    it('says what keeps repair, and is drained on when it is back', async () => {
      const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
      const alone = { ...defaultPolicy, pieces: 1, minWrite: 1 };
      const { chunkIds } = await tracker.put('/only-here', { on: [leaver], policy: alone });
      for (const chunkId of chunkIds) disks.get(leaver)!.add(chunkId);
      for (const keeper of others) keeper.freeBytes = 0;
      await second();
      const jobId = await drain(leaver);
      const stuck = await until(jobId, ({ text }) => text.includes('gone: 1 of 1 chunk'), others);
      expect(stuck.text).toMatch(/no keeper that is there has a copy: start one again that had/);
      for (const keeper of others) keeper.freeBytes = 1_000_000_000;
      for (let seconds = 0; seconds < 60; seconds += 1) await second(others);
      expect(await tracker.core.jobs.get(jobId)).toMatchObject({ state: 'running', text: stuck.text });
      const job = await until(jobId, ({ state }) => state !== 'running');
      expect(job.text).toMatch(/empty by its own report/);
      expect(disks.get(leaver)!.size).toBe(0);
    });

    it.each([0, 3])('before it is asked for ends as well, with %i chunks', async (count) => {
      const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
      if (count > 0) await put('/file', [leaver, ...others.slice(0, 2)], count);
      for (let seconds = 0; seconds < 32; seconds += 1) await second(others);
      const job = await until(await drain(leaver), ({ state }) => state !== 'running', others);
      expect(job).toMatchObject({ state: 'done', text: expect.stringMatching(/gone, and every chunk/) });
    });

    it('is not called whole without it before all that another dead keeper had was looked at', async () => {
      const [leaver, other, ...rest] = tracker.keepers as [FakeKeeper, FakeKeeper, ...FakeKeeper[]];
      for (const keeper of tracker.keepers) keeper.totalBytes = keeper.freeBytes = 2 ** 40;
      for (const keeper of tracker.keepers) await keeper.heartbeat({ slots: 0 });
      // More than a page of changes: the last chunk is behind it.
      const { chunkIds } = await tracker.put('/file', { count: 1_100, on: [other, ...rest.slice(0, 2)] });
      const last = [...chunkIds].sort().at(-1) ?? '';
      await leaver.heartbeat({ stored: [pieceOf(last)], slots: 0 });
      const jobId = await drain(leaver);
      await tracker.pass(32_000, [other, ...rest]);
      await tracker.pass(32_000, rest);
      await tracker.core.jobs.step();
      expect(await tracker.core.jobs.get(jobId)).toMatchObject({ state: 'running' });
      while (await queueNextPage(tracker.store, tracker.core.events));
      await tracker.core.jobs.step();
      const { state, text } = await tracker.core.jobs.get(jobId);
      expect({ state, text }).toMatchObject({
        state: 'running',
        text: expect.stringMatching(/: 1 of 1 chunk/),
      });
    });

    it('is not called empty before the metadata knows that it is gone', async () => {
      const [leaver, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
      await put('/file', [leaver, ...others.slice(0, 2)], 3);
      const jobId = await drain(leaver);
      // Its lease is over, and what that means is not written down yet.
      for (let seconds = 0; seconds < 31; seconds += 1) {
        tracker.clock.advance(1_000);
        for (const keeper of others) await keeper.heartbeat({ slots: 0 });
        tracker.core.membership.tick(tracker.clock.monotonicMs());
      }
      await tracker.core.jobs.step();
      const job = await tracker.core.jobs.get(jobId);
      expect(job).toMatchObject({ state: 'running', text: expect.stringMatching(/is being looked through/) });
    });
  });

  it('has no effect in memory if it could not be begun', async () => {
    const [leaver] = tracker.keepers as [FakeKeeper];
    tracker.core.events.record = () => Promise.reject(new Error('the disk is full'));
    await expect(drain(leaver)).rejects.toThrow('the disk is full');
    expect(tracker.core.membership.get(leaver.keeperId)?.draining).toBe(false);
    expect(tracker.core.membership.placementCandidates()).toHaveLength(5);
  });

  it('is one job however often it is asked for', async () => {
    const [leaver, other] = tracker.keepers as [FakeKeeper, FakeKeeper];
    const requestId = id();
    const jobId = await drain(leaver, requestId);
    expect(await drain(leaver, requestId)).toBe(jobId);
    expect(await drain(leaver)).toBe(jobId);
    await failure('REQUEST_ID_REUSED', drain(other, requestId));
    await failure('NOT_FOUND', tracker.core.jobs.begin('drain', [id()], id()));
    await failure('NOT_FOUND', tracker.core.jobs.get(id()));
    await failure('NOT_FOUND', tracker.core.jobs.cancel(id()));
    expect(await tracker.core.jobs.list(10, Infinity)).toHaveLength(1);
  });
});
