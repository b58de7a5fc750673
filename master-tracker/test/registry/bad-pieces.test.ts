/** What keepers find bad of their own: off the count, into the repair queue, and never further than that. */
import { HoldfastError } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { BadPiece } from '../../src/registry/bad-pieces.js';
import { type FakeKeeper, TestTracker, id, pieceOf } from '../support/fixture.js';

describe('bad pieces', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  const bad = (chunkId: string, code: HoldfastError['code'] = 'CHECKSUM_MISMATCH'): BadPiece => ({
    chunkId,
    error: new HoldfastError(code, 'it is bad'),
  });
  const tell = (keeper: FakeKeeper, pieces: readonly BadPiece[], stored: readonly string[] = []) =>
    tracker.core.registry.heartbeat(
      {
        ...keeper.identity,
        capacity: keeper.capacity,
        ...{ activeStreams: 0, freeTaskSlots: 0, stopping: false, storageError: null },
      },
      stored.map((chunkId) => pieceOf(chunkId)),
      pieces,
    );
  const transactions = (): number => tracker.store.transactionId;

  it('do not count any more, in one transaction; said again they cost none', async () => {
    const [first, second, third, other] = tracker.keepers as [FakeKeeper, FakeKeeper, FakeKeeper, FakeKeeper];
    const { chunkIds } = await tracker.put('/file', { count: 5, on: [first, second, third] });
    const before = transactions();
    await tell(
      first,
      chunkIds.map((chunkId) => bad(chunkId)),
    );
    expect(transactions()).toBe(before + 1);
    expect(await tracker.queued()).toEqual([...chunkIds].sort());
    for (const chunkId of chunkIds) {
      expect(await tracker.pieces(chunkId)).toEqual({
        [second.keeperId]: 'durable',
        [third.keeperId]: 'durable',
      });
    }
    await tracker.core.repair.step();
    // Its own may go back to it.
    const tasks = [...(await first.heartbeat()), ...(await other.heartbeat())];
    expect(tasks.length).toBeGreaterThan(0);
    for (const { action } of tasks) {
      expect(action).toMatchObject({ kind: 'fetch' });
      if (action.kind === 'fetch') expect(action.sourceKeeperIds).not.toContain(first.keeperId);
    }
  });

  it.each(['PERMISSION_DENIED', 'LIMIT_EXCEEDED', 'UNAVAILABLE', 'INTERNAL'] as const)(
    'are not what fails with %s',
    async (code) => {
      const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
      await tell(tracker.keepers[0]!, [bad(chunkIds[0]!, code)]);
      expect(await tracker.queued()).toEqual([]);
    },
  );

  it('that were stored again since are taken in the order that the keeper means', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    const [chunkId] = chunkIds as [string];
    const [keeper] = tracker.keepers as [FakeKeeper];
    await tell(keeper, [bad(chunkId)]);
    await tell(keeper, [], [chunkId]);
    expect(Object.keys(await tracker.pieces(chunkId))).toContain(keeper.keeperId);
    await tell(keeper, [bad(chunkId)], [chunkId]);
    expect(Object.keys(await tracker.pieces(chunkId))).not.toContain(keeper.keeperId);
  });

  it('of every keeper leave the chunk live, unreadable and queued, and a copy that comes back is taken up', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    const [chunkId] = chunkIds as [string];
    for (const keeper of tracker.keepers.slice(0, 3)) await tell(keeper, [bad(chunkId)]);
    expect(await tracker.pieces(chunkId)).toEqual({});
    expect(await tracker.chunkState(chunkId)).toBe('live');
    await tracker.core.repair.step();
    expect(await tracker.queued()).toEqual([chunkId]);
    expect((await tracker.core.status.status()).chunksUnreadable).toBe(1);
    // Nobody is told to do anything about it: no copy, no trash.
    await tracker.pass(60_000);
    await tracker.core.repair.step();
    for (const keeper of tracker.keepers) expect(await keeper.heartbeat()).toEqual([]);
    const [, found] = tracker.keepers as [FakeKeeper, FakeKeeper];
    found.incarnation += 1;
    await found.register();
    await found.report([chunkId]);
    expect(await tracker.pieces(chunkId)).toEqual({ [found.keeperId]: 'durable' });
  });

  it('of chunks that were given up, of other keepers or of nobody change nothing', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    await tell(tracker.keepers[3]!, [bad(chunkIds[0]!), bad(id())]);
    expect(Object.keys(await tracker.pieces(chunkIds[0]!))).toHaveLength(3);
    const replaced = await tracker.put('/gone', { on: tracker.keepers.slice(0, 3) });
    await tracker.store.mutate(async ({ db }) => {
      await db
        .updateTable('pieces')
        .set({ state: 'garbage' })
        .where('chunk_id', 'in', replaced.chunkIds)
        .execute();
    });
    await tell(tracker.keepers[0]!, [bad(replaced.chunkIds[0]!)]);
    // The tombstone stays: the bytes may turn up again.
    expect(Object.keys(await tracker.pieces(replaced.chunkIds[0]!))).toHaveLength(3);
    expect(await tracker.queued()).toEqual([]);
  });

  it('are not taken by a tracker that is behind its keepers', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    const { clusterId, epoch, instanceId } = tracker.core.identity;
    await tracker.keepers[3]!.register('', {
      clusterId,
      epoch: epoch + 1,
      instanceId,
      transactionId: 1_000_000,
    });
    await tell(tracker.keepers[0]!, [bad(chunkIds[0]!)]);
    expect(Object.keys(await tracker.pieces(chunkIds[0]!))).toHaveLength(3);
  });
});
