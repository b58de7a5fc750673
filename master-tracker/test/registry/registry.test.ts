import { HoldfastError } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  FakeKeeper,
  TestTracker,
  digestOf,
  failure,
  fileOf,
  id,
  pieceOf,
  sealedOf,
} from '../support/fixture.js';

/** Resolves when `work` has got as far as it gets without the store, with its outcome to come. */
async function begun<T>(work: Promise<T>): Promise<{ outcome: Promise<T> }> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  return { outcome: work };
}

describe('the registry of keepers', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  const keeper = (index: number) => tracker.keepers[index]!;
  const stateOf = (index: number) => tracker.core.membership.get(keeper(index).keeperId)?.state;

  it('takes keepers of its own cluster and refuses others', async () => {
    await keeper(0).register(tracker.core.identity.clusterId);
    await failure('WRONG_CLUSTER', keeper(0).register(id()));
    keeper(0).incarnation = 0;
    await failure('STALE_EPOCH', keeper(0).register());
    await failure('NOT_REGISTERED', keeper(0).heartbeat());
    await failure('NOT_REGISTERED', keeper(0).report([]));
  });

  it('remembers keepers across a restart, and asks them to register again', async () => {
    const before = tracker.core.identity;
    await tracker.restart();
    expect(tracker.core.identity).toMatchObject({ clusterId: before.clusterId, epoch: before.epoch + 1 });
    expect(tracker.core.identity.instanceId).not.toBe(before.instanceId);
    expect(stateOf(0)).toBe('suspect');
    await failure('NOT_REGISTERED', keeper(0).heartbeat());
    await keeper(0).register();
    await keeper(0).heartbeat();
    expect(stateOf(0)).toBe('live');
  });

  it('drops the pieces of a keeper that comes back with another storage', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 3 });
    keeper(0).storageId = id();
    await keeper(0).register();
    expect(await tracker.queued()).toEqual([...chunkIds].sort());
    expect(Object.keys(await tracker.pieces(chunkIds[0]!))).not.toContain(keeper(0).keeperId);
  });

  it('tells of a new keeper where one with pieces was: its disk may not be mounted', async () => {
    const displaced = async () =>
      (await tracker.core.events.latest(100, Infinity)).filter(({ kind }) => kind === 'keeper-displaced');
    const summary = async () => {
      tracker.clock.advance(1_000);
      return (await tracker.core.status.status()).summary;
    };
    await tracker.put('/file', { count: 2 });
    const [old, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const fresh = new FakeKeeper(tracker, 7_500);
    expect(fresh.address).toBe(old.address);
    await fresh.register();
    await fresh.report([]);
    const told = await displaced();
    expect(told).toMatchObject([{ subject: fresh.keeperId, text: expect.stringContaining(old.keeperId) }]);
    expect(told[0]?.text).toMatch(
      /at 127\.0\.0\.1:7500.* with 2 pieces was: if that should be the same storage/,
    );
    await tracker.pass(6_000, [...others, fresh]);
    expect(await summary()).toMatch(/another one at 127\.0\.0\.1:7500 where .* with 2 pieces was/);
    // Nothing else changes: it is taken in, and the old one may come back.
    expect(tracker.core.membership.placementCandidates()).toHaveLength(3);
    await fresh.register();
    expect(await displaced()).toHaveLength(1);
    await tracker.pass(31_000, others);
    await old.register();
    expect(await summary()).not.toMatch(/another one at/);
    // One without pieces is no loss, and one that was known is not new.
    await fresh.register();
    expect(await displaced()).toHaveLength(1);
  });

  it('queues the chunks of a dead keeper, and counts its pieces again when it is back', async () => {
    const { chunkIds } = await tracker.put('/file');
    await tracker.pass(31_000, tracker.keepers.slice(1));
    expect(stateOf(0)).toBe('dead');
    expect(await tracker.queued()).toEqual(chunkIds);
    const durability = async () => (await tracker.core.namespace.getEntry(['file'])).durability;
    expect(await durability()).toMatchObject({ fewestPieces: 2, chunksBelowPolicy: 1 });
    await keeper(0).register();
    expect(await durability()).toMatchObject({ fewestPieces: 3, chunksBelowPolicy: 0 });
    await tracker.core.repair.step();
    expect(await tracker.queued()).toEqual([]);
  });

  it('waits for a keeper that stopped on purpose', async () => {
    await tracker.put('/file');
    await keeper(0).heartbeat({ stopping: true });
    await tracker.pass(60_000, tracker.keepers.slice(1));
    expect(stateOf(0)).toBe('maintenance');
    expect(await tracker.queued()).toEqual([]);
  });

  it('adopts reported pieces that fit, and leaves those alone that do not', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 2) });
    const [chunkId = ''] = chunkIds;
    await keeper(2).heartbeat({ stored: [pieceOf(chunkId, 99), pieceOf(id())] });
    expect((await tracker.pieces(chunkId))[keeper(2).keeperId]).toBeUndefined();
    await keeper(2).heartbeat({ stored: [pieceOf(chunkId), pieceOf(chunkId)] });
    expect((await tracker.pieces(chunkId))[keeper(2).keeperId]).toBe('durable');
  });

  it('does not count a piece of which its keeper says that it has other bytes', async () => {
    const { chunkIds } = await tracker.put('/file');
    await keeper(0).heartbeat({ stored: [pieceOf(chunkIds[0]!, 99)] });
    expect((await tracker.pieces(chunkIds[0]!))[keeper(0).keeperId]).toBeUndefined();
    expect(await tracker.queued()).toEqual(chunkIds);
  });

  it('counts no pieces of a storage that is being replaced, whoever vouches for them', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(1) });
    const upload = await tracker.begin({ path: '/other' });
    const sealed = upload.chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers));
    const replaced = keeper(0).identity;
    keeper(0).storageId = id();
    const registered = await begun(keeper(0).register());
    const outcomes = await Promise.allSettled([
      tracker.core.registry.heartbeat(
        {
          ...replaced,
          capacity: keeper(0).capacity,
          activeStreams: 0,
          freeTaskSlots: 0,
          stopping: false,
          storageError: null,
        },
        [pieceOf(chunkIds[0]!)],
      ),
      tracker.core.uploads.commit(upload.session.uploadId, id(), [fileOf('/other', upload.chunkIds)], sealed),
      registered.outcome,
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    for (const chunkId of [...chunkIds, ...upload.chunkIds]) {
      expect((await tracker.pieces(chunkId))[keeper(0).keeperId]).toBeUndefined();
    }
    expect(await tracker.queued()).toEqual(expect.arrayContaining(upload.chunkIds));
  });

  it('counts the pieces of a keeper that registers at the moment at which its lease runs out', async () => {
    await tracker.put('/file');
    await tracker.pass(29_000, tracker.keepers.slice(1));
    tracker.clock.advance(1_000);
    const registered = await begun(keeper(0).register());
    await Promise.all([registered.outcome, tracker.core.registry.tick()]);
    expect(stateOf(0)).toBe('live');
    expect((await tracker.core.namespace.getEntry(['file'])).durability).toMatchObject({ fewestPieces: 3 });
  });

  it('needs no transaction for news that it has already', async () => {
    const { chunkIds } = await tracker.put('/file');
    const before = tracker.store.transactionId;
    await keeper(0).heartbeat({ stored: chunkIds.map((chunkId) => pieceOf(chunkId)) });
    expect(tracker.store.transactionId).toBe(before);
  });

  describe('full reports', () => {
    const restartKeeper = async (index: number): Promise<void> => {
      keeper(index).incarnation += 1;
      await keeper(index).register();
    };

    it('find lost what is missing, adopt what is there, ignore what is unknown', async () => {
      const { chunkIds } = await tracker.put('/file', { count: 4 });
      const elsewhere = await tracker.put('/other', { on: tracker.keepers.slice(1) });
      const [lost = '', ...kept] = [...chunkIds].sort();
      await restartKeeper(0);
      await keeper(0).report([...kept, ...elsewhere.chunkIds, id()]);
      expect((await tracker.pieces(lost))[keeper(0).keeperId]).toBeUndefined();
      expect((await tracker.pieces(elsewhere.chunkIds[0]!))[keeper(0).keeperId]).toBe('durable');
      await tracker.core.repair.step();
      expect(await tracker.queued()).toEqual([lost]);
      expect(tracker.core.membership.get(keeper(0).keeperId)?.reported).toBe(true);
    });

    it('do not take for lost what became durable after the keeper registered', async () => {
      await restartKeeper(0);
      const { chunkIds } = await tracker.put('/file');
      await keeper(0).report([]);
      expect((await tracker.pieces(chunkIds[0]!))[keeper(0).keeperId]).toBe('durable');
    });

    it('come in pages in order; a page twice is fine, a page out of order is not', async () => {
      const { chunkIds } = await tracker.put('/file', { count: 5 });
      const [a, b, c, ...lost] = [...chunkIds].sort() as [string, string, string, ...string[]];
      await restartKeeper(0);
      const reportId = id();
      const send = (page: number, ids: string[], last = false) =>
        tracker.core.registry.report(keeper(0).identity, {
          ...keeper(0).identity,
          reportId,
          page,
          pieces: ids.map((chunkId) => pieceOf(chunkId)),
          last,
          wantedReport: '',
        });
      await failure('INVALID_ARGUMENT', send(1, [a]));
      await failure('INVALID_ARGUMENT', send(0, [b, a]));
      await send(0, [a]);
      await send(0, [a]);
      await failure('INVALID_ARGUMENT', send(1, [a]));
      await send(1, [b, c]);
      expect(await tracker.queued()).toEqual([]);
      await send(2, [], true);
      await send(2, [], true);
      expect(await tracker.queued()).toEqual(lost);
    });

    it('lose nothing by a page that comes again while it is being taken', async () => {
      const { chunkIds } = await tracker.put('/file', { count: 3 });
      await restartKeeper(0);
      const reportId = id();
      const send = (page: number, last = false) =>
        tracker.core.registry.report(keeper(0).identity, {
          ...keeper(0).identity,
          reportId,
          page,
          pieces: [pieceOf([...chunkIds].sort()[page]!)],
          last,
          wantedReport: '',
        });
      await Promise.all([send(0), send(0)]);
      await Promise.all([send(1), send(1)]);
      await send(2, true);
      expect(await tracker.queued()).toEqual([]);
    });

    it('can be asked for again, and cover what was durable when they were', async () => {
      const { chunkIds } = await tracker.put('/file', { count: 2 });
      const [lost = '', kept = ''] = [...chunkIds].sort();
      const { reports } = tracker.core;
      const { keeperId } = keeper(0);
      const since = tracker.store.transactionId;
      expect(reports.askedOf(keeperId)).toBe('');
      expect(reports.requireSince(keeperId, since)).toBe(false);
      const wish = reports.askedOf(keeperId);
      expect(reports.requireSince(keeperId, since)).toBe(false);
      expect(reports.askedOf(keeperId)).toBe(wish);
      const later = await tracker.put('/later');
      await keeper(0).report([kept]);
      expect(reports.requireSince(keeperId, since)).toBe(true);
      expect(reports.askedOf(keeperId)).toBe('');
      expect((await tracker.pieces(lost))[keeperId]).toBeUndefined();
      // Younger than the question.
      expect((await tracker.pieces(later.chunkIds[0]!))[keeperId]).toBe('durable');
      expect(reports.completeOf(keeperId)).toMatchObject({ lost: 1, pieces: 1 });
    });

    it('are not asked for while the one that follows a registration is to come', async () => {
      const { reports } = tracker.core;
      await restartKeeper(0);
      expect(reports.requireSince(keeper(0).keeperId, tracker.store.transactionId)).toBe(false);
      expect(reports.askedOf(keeper(0).keeperId)).toBe('');
      await keeper(0).report([]);
      expect(reports.requireSince(keeper(0).keeperId, tracker.store.transactionId)).toBe(false);
      expect(reports.askedOf(keeper(0).keeperId)).not.toBe('');
    });

    it('of an earlier start say nothing about what became durable before the later one', async () => {
      await restartKeeper(0);
      const earlier = keeper(0).identity;
      const { chunkIds } = await tracker.put('/file');
      keeper(0).incarnation += 1;
      const registered = await begun(keeper(0).register());
      const send = () =>
        tracker.core.registry.report(earlier, {
          ...earlier,
          reportId: id(),
          page: 0,
          pieces: [],
          last: true,
          wantedReport: '',
        });
      await Promise.allSettled([send(), send(), registered.outcome]);
      expect((await tracker.pieces(chunkIds[0]!))[keeper(0).keeperId]).toBe('durable');
      expect(tracker.core.membership.get(keeper(0).keeperId)?.reported).toBe(false);
    });
  });

  it('takes a verdict that it could not write down when it comes again', async () => {
    const { chunkIds } = await tracker.put('/file');
    const [chunkId = ''] = chunkIds;
    await tracker.core.locations.reportBadPiece(
      chunkId,
      keeper(0).keeperId,
      tracker.core.tokens.read(chunkId),
    );
    const [task] = await keeper(0).heartbeat();
    const verdict = () => keeper(0).complete(task!, new HoldfastError('NOT_FOUND', 'no such piece'));
    const crowd = Array.from({ length: 4_096 }, () => tracker.store.mutate(async () => undefined));
    await failure('LIMIT_EXCEEDED', verdict());
    await Promise.all(crowd);
    await verdict();
    expect((await tracker.pieces(chunkId))[keeper(0).keeperId]).toBeUndefined();
  });

  it('trusts the word of a keeper about its own piece, and not that of a client', async () => {
    const { chunkIds } = await tracker.put('/file');
    const [chunkId = ''] = chunkIds;
    const { keeperId } = keeper(0);
    const report = (token: Buffer) => tracker.core.locations.reportBadPiece(chunkId, keeperId, token);
    await failure('UNAUTHENTICATED', report(Buffer.alloc(95)));
    await failure('UNAUTHENTICATED', report(tracker.core.tokens.read(id())));
    for (const error of [undefined, new HoldfastError('CHECKSUM_MISMATCH', 'block 3')]) {
      await report(tracker.core.tokens.read(chunkId));
      await report(tracker.core.tokens.read(chunkId));
      const [task, ...others] = await keeper(0).heartbeat();
      expect(others).toEqual([]);
      expect(task?.action).toEqual({ kind: 'verify', chunkId, digest: digestOf(chunkId) });
      expect((await tracker.pieces(chunkId))[keeperId]).toBe('durable');
      await keeper(0).complete(task!, error);
    }
    expect((await tracker.pieces(chunkId))[keeperId]).toBeUndefined();
    expect(await tracker.queued()).toEqual([chunkId]);
  });
});
