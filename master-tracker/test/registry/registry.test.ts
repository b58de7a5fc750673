import { HoldfastError } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, digestOf, failure, id, pieceOf } from '../support/fixture.js';

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
          keeperId: keeper(0).keeperId,
          reportId,
          page,
          pieces: ids.map((chunkId) => pieceOf(chunkId)),
          last,
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
