import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker, failure, id } from '../support/fixture.js';

const minuteMs = 60_000;

describe('an announced absence', () => {
  let tracker: TestTracker;
  let away: FakeKeeper;
  let others: FakeKeeper[];
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
    [away, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
  });
  afterEach(() => tracker.end());

  const announce = (durationMs: number, requestId = id()): Promise<void> =>
    tracker.core.keeperCare.setMaintenance(away.keeperId, durationMs, requestId);
  const state = (): string | undefined => tracker.core.membership.get(away.keeperId)?.state;
  const pass = async (durationMs: number, alive = others): Promise<void> => {
    await tracker.pass(durationMs, alive);
    await tracker.core.keeperCare.step();
  };

  it('is waited out, and copied for when it is over', async () => {
    await tracker.put('/file', { on: [away, ...others.slice(0, 2)] });
    await announce(2 * minuteMs);
    expect(state()).toBe('maintenance');
    expect(tracker.core.membership.placementCandidates()).toHaveLength(3);
    await pass(119_000);
    expect(state()).toBe('maintenance');
    expect(await tracker.queued()).toEqual([]);
    await pass(2_000);
    expect(state()).toBe('dead');
    expect(await tracker.queued()).toHaveLength(1);
  });

  it('ends when the keeper is started again, which is waited for once more until the time is over', async () => {
    await announce(5 * minuteMs);
    // Still there: it may go at any moment, so it takes nothing new.
    await pass(minuteMs, tracker.keepers);
    expect(state()).toBe('maintenance');
    away.incarnation += 1;
    await away.register();
    expect(state()).toBe('live');
    await pass(minuteMs);
    expect(state()).toBe('maintenance');
    await pass(4 * minuteMs);
    expect(state()).toBe('dead');
  });

  it('ends when that is said', async () => {
    await announce(5 * minuteMs);
    await pass(minuteMs);
    await announce(0);
    expect(state()).toBe('dead');
    await away.heartbeat();
    expect(state()).toBe('live');
  });

  it('goes on after a restart of the tracker, for what was left of it', async () => {
    await announce(10 * minuteMs);
    await pass(4 * minuteMs);
    await tracker.restart();
    // The keeper that is still to go registers like all others.
    for (const keeper of tracker.keepers) await keeper.register();
    expect(state()).toBe('maintenance');
    await pass(5 * minuteMs);
    expect(state()).toBe('maintenance');
    await pass(2 * minuteMs);
    expect(state()).toBe('dead');
    await tracker.restart();
    expect(state()).toBe('suspect');
  });

  it('is refused for nobody, for too long and for the dead; one request has one effect', async () => {
    await failure('NOT_FOUND', tracker.core.keeperCare.setMaintenance(id(), minuteMs, id()));
    await failure('INVALID_ARGUMENT', announce(25 * 60 * minuteMs));
    const requestId = id();
    await announce(minuteMs, requestId);
    await announce(0);
    await announce(minuteMs, requestId);
    expect(state()).toBe('live');
    await pass(31_000);
    await failure('INVALID_ARGUMENT', announce(minuteMs));
  });
});

describe('a keeper that will not come back', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());
  const forget = (keeper: FakeKeeper, requestId = id()): Promise<void> =>
    tracker.core.keeperCare.forget(keeper.keeperId, requestId);

  it('is forgotten once what it had is elsewhere, and not before', async () => {
    const [gone, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    await tracker.put('/file', { on: [gone, ...others.slice(0, 2)] });
    await failure('NOT_FOUND', tracker.core.keeperCare.forget(id(), id()));
    expect((await failure('NOT_EMPTY', forget(gone))).message).toMatch(/the keeper is there/);
    await tracker.pass(31_000, others);
    expect((await failure('NOT_EMPTY', forget(gone))).message).toMatch(/lacks a copy without it/);
    for (let round = 0; round < 3; round += 1) {
      await tracker.core.repair.step();
      for (const keeper of others) for (const task of await keeper.heartbeat()) await keeper.complete(task);
    }
    const requestId = id();
    await forget(gone, requestId);
    await forget(gone, requestId);
    expect(tracker.core.membership.size).toBe(3);
    expect((await tracker.core.events.latest(1, Infinity))[0]?.kind).toBe('keeper-forgotten');
    await tracker.restart();
    expect(tracker.core.membership.size).toBe(3);
  });

  it('that comes back all the same joins as a new one, and what it has is taken up', async () => {
    const [gone, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const { chunkIds } = await tracker.put('/file', { on: others });
    await tracker.pass(31_000, others);
    await forget(gone);
    await failure('NOT_REGISTERED', gone.heartbeat());
    await gone.register();
    await gone.report(chunkIds);
    expect((await tracker.pieces(chunkIds[0]!))[gone.keeperId]).toBe('durable');
    expect(await tracker.queued()).toEqual(chunkIds);
  });

  it.each([0, 100])(
    'and is back at that very moment, %i turns before, is known or not, all of it',
    async (turns) => {
      const [gone, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
      await tracker.pass(31_000, others);
      const registering = gone.register().catch((error: unknown) => error);
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      await forget(gone);
      // A keeper that is refused tries again.
      if (await registering) await gone.register();
      const { chunkIds } = await tracker.put('/file', { on: [gone, ...others.slice(0, 2)] });
      expect((await tracker.pieces(chunkIds[0]!))[gone.keeperId]).toBe('durable');
    },
  );

  it('ends its drain', async () => {
    const [gone, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const jobId = await tracker.core.jobs.begin('drain', [gone.keeperId], id());
    await tracker.pass(6_000, others);
    await forget(gone);
    expect(await tracker.core.jobs.get(jobId)).toMatchObject({
      state: 'done',
      text: 'the keeper was forgotten',
    });
  });
});
