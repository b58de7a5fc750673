/** Two keepers run from copies of one data directory: what counts meanwhile, and how it ends. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FakeKeeper, TestTracker, failure, fileOf, id, pieceOf, sealedOf } from '../support/fixture.js';

describe('two keepers with one identity', () => {
  let tracker: TestTracker;
  let original: FakeKeeper;
  let copy: FakeKeeper;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
    original = tracker.keepers[0]!;
    copy = new FakeKeeper(tracker, 7_999);
    Object.assign(copy, { keeperId: original.keeperId, storageId: original.storageId, incarnation: 9 });
  });
  afterEach(() => tracker.end());

  const others = () => tracker.keepers.slice(1);
  const kinds = async () => (await tracker.core.events.latest(100, Infinity)).map(({ kind }) => kind);
  const conflictOf = () => tracker.core.membership.get(original.keeperId)?.identityConflict;
  const pieceAt = async (chunkId: string) => (await tracker.pieces(chunkId))[original.keeperId];

  /** As the keeper's session does: registers anew when it is not known. */
  const beat = async (keeper: FakeKeeper): Promise<void> => {
    try {
      await keeper.heartbeat({ slots: 0 });
    } catch {
      await keeper.register().catch(() => undefined);
    }
  };
  const both = async (seconds: number, alive: readonly FakeKeeper[] = [original, copy]): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      await tracker.pass(1_000, others());
      for (const keeper of alive) await beat(keeper);
    }
  };

  it('are named, get nothing new, and what they have counts once', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    await copy.register();
    await both(8);
    expect(await kinds()).toContain('identity-conflict');
    const [keeper] = (await tracker.core.status.keepers()).filter(
      ({ keeperId }) => keeperId === original.keeperId,
    );
    expect(keeper?.identityConflict).toContain(original.address);
    expect(keeper?.identityConflict).toContain(copy.address);
    expect(tracker.core.membership.placementCandidates().map(({ keeperId }) => keeperId)).not.toContain(
      original.keeperId,
    );
    expect((await tracker.core.status.status()).summary).toMatch(/1 that two keepers claim to be/);
    expect((await tracker.core.namespace.getEntry(['file'])).durability).toMatchObject({ fewestPieces: 3 });
    expect(await pieceAt(chunkIds[0]!)).toBe('durable');
  });

  it('count for what they took since only once the one that is left has reported it', async () => {
    const before = await tracker.put('/before');
    await copy.register();
    // The copy is registered, and the original signs within its lease: nobody can say whose these are.
    const since = await tracker.put('/since', { count: 2 });
    const [there = '', elsewhere = ''] = since.chunkIds;
    expect(await pieceAt(there)).toBe('durable');
    await both(8);
    expect(await pieceAt(before.chunkIds[0]!)).toBe('durable');
    expect([await pieceAt(there), await pieceAt(elsewhere)]).toEqual([undefined, undefined]);
    expect((await tracker.core.status.status()).chunksBelowPolicy).toBe(0);
    await both(31, [copy]);
    expect(await kinds()).not.toContain('identity-conflict-over');
    expect(conflictOf()).not.toBeNull();
    await copy.report([...before.chunkIds, there]);
    expect(await kinds()).toContain('identity-conflict-over');
    expect(conflictOf()).toBeNull();
    expect([await pieceAt(there), await pieceAt(elsewhere)]).toEqual(['durable', undefined]);
  });

  it('can end with the earlier start, whose pieces then count', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 2 });
    const [shared = '', own = ''] = chunkIds;
    await copy.register();
    await copy.report([shared]);
    expect(await pieceAt(own)).toBeUndefined();
    await both(8);
    await failure('STALE_EPOCH', original.register());
    await both(35, [original]);
    await original.report(chunkIds);
    expect(await kinds()).toContain('identity-conflict-over');
    expect(tracker.core.membership.get(original.keeperId)).toMatchObject({
      incarnation: original.incarnation,
      address: original.address,
      state: 'live',
    });
    expect([await pieceAt(shared), await pieceAt(own)]).toEqual(['durable', 'durable']);
  });

  it('sign for nothing, and tell nothing that counts, as long as both live', async () => {
    await copy.register();
    await both(8);
    const upload = await tracker.begin({ path: '/during' });
    const [chunkId = ''] = upload.chunkIds;
    const sealed = [sealedOf(chunkId, [copy, ...others()])];
    await tracker.core.uploads.commit(upload.session.uploadId, id(), [fileOf('/during', [chunkId])], sealed);
    await copy.heartbeat({ stored: [pieceOf(chunkId)] });
    expect(await pieceAt(chunkId)).toBeUndefined();
    await copy.report([chunkId]);
    expect(await pieceAt(chunkId)).toBe('durable');
  });

  it('are asked at once what the registered one really has', async () => {
    await copy.register();
    await copy.report([]);
    await both(8);
    expect(tracker.core.reports.askedOf(copy.keeperId)).not.toBe('');
  });
});

it('a keeper that is killed and started again at another port is one keeper', async () => {
  const tracker = await TestTracker.start({ keepers: 3 });
  try {
    const [keeper] = tracker.keepers;
    const before = keeper!.identity;
    keeper!.incarnation += 1;
    await keeper!.register();
    const late = { capacity: keeper!.capacity, activeStreams: 0, freeTaskSlots: 0 };
    for (const afterMs of [0, 1_000, 1_500]) {
      await tracker.pass(afterMs);
      const heartbeat = { ...before, ...late, stopping: false, storageError: null };
      await failure('NOT_REGISTERED', tracker.core.registry.heartbeat(heartbeat, []));
    }
    await tracker.pass(60_000);
    expect(tracker.core.membership.placementCandidates()).toHaveLength(3);
    expect(tracker.core.membership.get(keeper!.keeperId)?.identityConflict).toBeNull();
  } finally {
    await tracker.end();
  }
});
