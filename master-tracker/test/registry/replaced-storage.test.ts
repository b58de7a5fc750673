import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { queueNextPage } from '../../src/registry/keeper-changes.js';
import { TestTracker, failure, fileOf, id, sealedOf } from '../support/fixture.js';

/** A little more than two of the pages in which a keeper's pieces are looked at. */
const many = 2_100;

describe('a storage with very many pieces that is replaced under its old name', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 5 });
    for (const each of tracker.keepers) {
      each.totalBytes = each.freeBytes = 2 ** 40;
      await each.heartbeat({ slots: 0 });
    }
  });
  afterEach(() => tracker.end());

  const keeper = (index: number) => tracker.keepers[index]!;
  const stateOf = (index: number) => tracker.core.membership.get(keeper(index).keeperId)?.state;
  const fewestPieces = async () => (await tracker.core.namespace.getEntry(['file'])).durability?.fewestPieces;
  const piecesOn = async (index: number) => (await tracker.reported(keeper(index))).length;

  /** A file of many chunks on the first three keepers, the first of which has a new storage then. */
  const replaceStorage = async () => {
    await tracker.put('/file', { count: many, on: tracker.keepers.slice(0, 3) });
    keeper(0).storageId = id();
    await failure('UNAVAILABLE', keeper(0).register());
  };

  const takeOffTheBooks = async (): Promise<number> => {
    let most = 0;
    for (let before = await piecesOn(0); ; before = await piecesOn(0)) {
      const more = await queueNextPage(tracker.store, tracker.core.events);
      most = Math.max(most, before - (await piecesOn(0)));
      if (!more) return most;
    }
  };

  it('counts for nothing at once, goes in bounded steps, and cannot register before, also after a restart', async () => {
    await replaceStorage();
    expect(stateOf(0)).toBe('dead');
    expect(await fewestPieces()).toBe(2);
    expect((await tracker.core.status.status()).chunksBelowPolicy).toBe(many);
    await failure('NOT_REGISTERED', keeper(0).heartbeat());

    await tracker.restart();
    expect(await fewestPieces()).toBe(2);
    await failure('UNAVAILABLE', keeper(0).register());

    expect(await takeOffTheBooks()).toBeLessThanOrEqual(1_000);
    expect(await piecesOn(0)).toBe(0);
    await keeper(0).register();
    expect(stateOf(0)).toBe('live');
    expect(await fewestPieces()).toBe(2);
    expect(await tracker.queued()).toHaveLength(many);
    const events = await tracker.core.events.after(100, 0);
    expect(events.filter(({ kind }) => kind === 'storage-replaced')).toHaveLength(1);
  });

  it('has none of the pieces that a commit asks for', async () => {
    const { session, chunkIds } = await tracker.begin({ path: '/other' });
    const seal = (on: readonly number[]) => chunkIds.map((chunkId) => sealedOf(chunkId, on.map(keeper)));
    await tracker.core.uploads.allocate(session.uploadId, 0, [], seal([0, 1]));
    await replaceStorage();
    const commit = (on: readonly number[]) =>
      tracker.core.uploads.commit(session.uploadId, id(), [fileOf('/other', chunkIds)], seal(on));
    await failure('INVALID_ARGUMENT', commit([]));
    // One that the chunk was allocated to, and that has not been heard of yet.
    const planned = await tracker.pieces(chunkIds[0] ?? '');
    await commit([tracker.keepers.findIndex(({ keeperId }) => planned[keeperId] === 'planned')]);
  });

  it('is not waited for by what it was the only one to have', async () => {
    const policy = { scheme: 'replicas', pieces: 1, needed: 1, minWrite: 1 } as const;
    await tracker.put('/single', { on: [keeper(0)], policy });
    await replaceStorage();
    await takeOffTheBooks();
    const events = await tracker.core.events.after(100, 0);
    expect(events.filter(({ kind }) => kind === 'chunk-lost').map(({ text }) => text)).toEqual([
      expect.stringMatching(/^1 chunk that only this keeper had/),
    ]);
  });
});
