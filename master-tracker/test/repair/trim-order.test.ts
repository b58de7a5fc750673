import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker } from '../support/fixture.js';

describe('a piece that was given up, before its keeper is told', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  const surplus = async (): Promise<{ chunkId: string; victim: FakeKeeper; others: FakeKeeper[] }> => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers });
    const [chunkId = ''] = chunkIds;
    await tracker.core.repair.step();
    const states = await tracker.pieces(chunkId);
    const victim = tracker.keepers.find(({ keeperId }) => states[keeperId] === 'garbage');
    if (!victim) throw new Error('nothing was given up');
    return { chunkId, victim, others: tracker.keepers.filter((keeper) => keeper !== victim) };
  };

  it('is not trashed, and counts again, if it is the last one by then', async () => {
    const { chunkId, victim } = await surplus();
    // The tracker restarts before the order is out, and of the keepers only the one with the needless piece is back.
    await tracker.restart();
    await victim.register();
    await victim.report([chunkId]);
    let trashed = false;
    for (let second = 0; second < 60; second += 1) {
      tracker.clock.advance(1_000);
      for (const task of await victim.heartbeat()) {
        trashed ||= task.action.kind === 'trash';
        await victim.complete(task);
      }
      if (!trashed && tracker.core.reports.askedOf(victim.keeperId) !== '') await victim.report([chunkId]);
      await tracker.core.registry.tick();
      await tracker.core.repair.step();
      await tracker.core.reclaim.step();
    }
    expect(trashed).toBe(false);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).toBe('durable');
    expect((await tracker.core.status.status()).chunksUnreadable).toBe(0);
  });

  it('is not ordered to go once more, after the first order was lost, if its chunk has lost another since', async () => {
    const { chunkId, victim, others } = await surplus();
    await tracker.core.reclaim.step();
    const [lost] = await victim.heartbeat();
    expect(lost?.action).toMatchObject({ kind: 'trash', chunkIds: [chunkId] });
    const [, ...rest] = others;
    await tracker.pass(31_000, [victim, ...rest]);
    const [again] = await victim.heartbeat();
    expect(again).toMatchObject({ taskId: lost!.taskId, action: { kind: 'trash', chunkIds: [] } });
    await victim.complete(again!);
    await tracker.core.reclaim.step();
    expect(tracker.core.reports.askedOf(victim.keeperId)).not.toBe('');
    await victim.report([chunkId]);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).toBe('durable');
  });

  it('is ordered to go once more after the first order was lost', async () => {
    const { chunkId, victim } = await surplus();
    await tracker.core.reclaim.step();
    const [lost] = await victim.heartbeat();
    await tracker.pass(10_000);
    expect(await victim.heartbeat()).toEqual([]);
    await tracker.pass(6_000);
    const [again, ...none] = await victim.heartbeat();
    expect({ again, none }).toMatchObject({
      again: { taskId: lost!.taskId, action: lost!.action },
      none: [],
    });
    await victim.complete(again!);
    expect((await tracker.pieces(chunkId))[victim.keeperId]).toBe('trashed');
  });
});
