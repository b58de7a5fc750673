import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker, id, pieceOf } from '../support/fixture.js';

describe('a piece that was given up', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  /** A chunk with a piece too many; the keeper that is to give its one up. */
  const surplus = async (): Promise<{ chunkId: string; victim: FakeKeeper }> => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers });
    const [chunkId = ''] = chunkIds;
    await tracker.core.repair.step();
    const states = await tracker.pieces(chunkId);
    const victim = tracker.keepers.find(({ keeperId }) => states[keeperId] === 'garbage');
    if (!victim) throw new Error('nothing was given up');
    return { chunkId, victim };
  };

  it('is not trashed if another keeper dies before the order has reached anybody', async () => {
    const { chunkId, victim } = await surplus();
    await tracker.core.reclaim.step();
    const [other] = tracker.keepers.filter((keeper) => keeper !== victim);
    // Their slots are taken, so the order waits.
    await tracker.pass(
      31_000,
      tracker.keepers.filter((keeper) => keeper !== other),
    );
    const [task, ...none] = await victim.heartbeat();
    expect({ task: task?.action.kind, none }).toEqual({ task: undefined, none: [] });
    expect(tracker.core.reports.askedOf(victim.keeperId)).not.toBe('');
    await victim.report([chunkId]);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).toBe('durable');
    await tracker.core.repair.step();
    expect(await tracker.queued()).toEqual([]);
  });

  /** The order has reached its keeper, which stands still in the middle of it for longer than its lease, and goes on. */
  async function pausedInOrder() {
    const { chunkId, victim } = await surplus();
    await tracker.core.reclaim.step();
    const [task] = await victim.heartbeat();
    expect(task?.action.kind).toBe('trash');
    const [other, ...rest] = tracker.keepers.filter((keeper) => keeper !== victim);
    await tracker.pass(31_000, [other!, ...rest]);
    await victim.heartbeat({ slots: 0 });
    await tracker.pass(31_000, [victim, ...rest]);
    return { chunkId, victim, rest, task: task! };
  }

  it('and taken back does not count once the keeper says that it has trashed it after all', async () => {
    const { chunkId, victim, task } = await pausedInOrder();
    await victim.report([chunkId]);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).toBe('durable');
    await victim.complete(task);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).toBe('trashed');
    expect(await tracker.queued()).toEqual([chunkId]);
  });

  it('and taken back does not count by a report that listed it before it was trashed after all', async () => {
    const { chunkId, victim, rest, task } = await pausedInOrder();
    expect(await tracker.pieces(chunkId)).not.toHaveProperty(victim.keeperId);
    const wantedReport = tracker.core.reports.askedOf(victim.keeperId);
    expect(wantedReport).not.toBe('');
    const report = { ...victim.identity, reportId: id(), wantedReport };
    await tracker.core.registry.report(victim.identity, { ...report, page: 0, pieces: [], last: false });
    // On its list by now, and in its trash before the list arrives.
    await victim.complete(task);
    const pieces = [pieceOf(chunkId)];
    await tracker.core.registry.report(victim.identity, { ...report, page: 1, pieces, last: true });
    expect((await tracker.pieces(chunkId))[victim.keeperId]).not.toBe('durable');
    expect(await tracker.queued()).toEqual([chunkId]);
    // Nothing of it is left when no older word can arrive any more.
    await tracker.pass(40_000, [victim, ...rest]);
    expect(await tracker.pieces(chunkId)).not.toHaveProperty(victim.keeperId);
  });

  it.each(['before', 'after'])(
    'is not counted again by a report that the keeper began by itself, with the order %s it',
    async (order) => {
      const { chunkId, victim } = await surplus();
      const page = { ...victim.identity, reportId: id(), wantedReport: '' };
      const send = (number: number, pieces: readonly string[], last: boolean) =>
        tracker.core.registry.report(victim.identity, {
          ...{ ...page, page: number, last, pieces: pieces.map((each) => pieceOf(each)) },
        });
      if (order === 'before') await tracker.core.reclaim.step();
      // It lists what it has from here on; a slow disk takes its time.
      await send(0, [], false);
      const work = async (): Promise<void> => {
        await tracker.core.reclaim.step();
        for (const task of await victim.heartbeat()) await victim.complete(task);
      };
      await work();
      const isTrashed = (await tracker.pieces(chunkId))[victim.keeperId] === 'trashed';
      expect(isTrashed).toBe(order === 'before');
      await tracker.pass(40_000);
      await send(1, [chunkId], true);
      expect((await tracker.pieces(chunkId))[victim.keeperId]).not.toBe('durable');
      for (let round = 0; round < 3; round += 1) await work();
      await tracker.pass(40_000);
      // The tombstone is gone, and nothing is left to be done.
      expect((await tracker.pieces(chunkId))[victim.keeperId]).toBeUndefined();
    },
  );

  it('is not counted again by a report whose first page took long', async () => {
    // As for a check of the cluster: every keeper is to report anew, and begins to list what it has.
    for (const { keeperId } of tracker.keepers) {
      tracker.core.reports.requireSince(keeperId, tracker.store.transactionId);
    }
    const { chunkId, victim } = await surplus();
    await tracker.core.reclaim.step();
    for (const task of await victim.heartbeat()) await victim.complete(task);
    await tracker.pass(40_000);
    await victim.report([chunkId]);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).not.toBe('durable');
  });
});
