import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, failure, fileOf, id, names, sealedOf } from '../support/fixture.js';

describe('reclamation', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({
      keepers: 3,
      settings: {
        reclaimGraceMs: 60_000,
        trashRetentionMs: 0,
        tokenLifetimeMs: 60_000,
        requestRetentionMs: 60_000,
        retainedRequests: 2,
      },
    });
  });
  afterEach(() => tracker.end());

  const locate = (version: number) =>
    tracker.core.locations.locate({ target: { version }, offset: 0, lengthBytes: 0, pageSize: 10 });
  const trash = async (): Promise<string[]> => {
    const trashed: string[] = [];
    await tracker.core.reclaim.step();
    for (const keeper of tracker.keepers) {
      for (const task of await keeper.heartbeat()) {
        if (task.action.kind === 'trash') trashed.push(...task.action.chunkIds);
        await keeper.complete(task);
      }
    }
    return trashed;
  };

  it('keeps a replaced version readable for its grace, then has its pieces trashed', async () => {
    const old = await tracker.put('/file');
    const current = await tracker.put('/file');
    await tracker.pass(59_000);
    expect((await locate(old.version)).extents).toHaveLength(1);
    await tracker.pass(3_000);
    await failure('NOT_FOUND', locate(old.version));
    expect(await tracker.chunkState(old.chunkIds[0]!)).toBe('garbage');
    expect(new Set(await trash())).toEqual(new Set(old.chunkIds));
    expect(await tracker.pieces(old.chunkIds[0]!)).toEqual({});
    expect((await locate(current.version)).extents).toHaveLength(1);
    expect(tracker.store.counters.chunks).toBe(1);
  });

  it('keeps the chunks of a file for its copy, and gives them up after the last of them', async () => {
    const { chunkIds } = await tracker.put('/file');
    const [chunkId = ''] = chunkIds;
    const { version } = await tracker.core.namespace.copyEntry(['file'], ['copy'], 0, id());
    await tracker.core.namespace.deleteEntry(['file'], false, undefined, id());
    await tracker.pass(120_000);
    expect(await trash()).toEqual([]);
    expect(await tracker.chunkState(chunkId)).toBe('live');
    expect((await locate(version)).extents).toHaveLength(1);
    await tracker.core.namespace.deleteEntry(['copy'], false, undefined, id());
    await tracker.pass(120_000);
    expect(await tracker.chunkState(chunkId)).toBe('garbage');
    expect(new Set(await trash())).toEqual(new Set(chunkIds));
  });

  it('orders nothing after a restart before every keeper was heard or given up', async () => {
    const old = await tracker.put('/file');
    await tracker.core.namespace.deleteEntry(['file'], false, undefined, id());
    await tracker.pass(62_000);
    await tracker.restart();
    const [first, ...others] = tracker.keepers;
    for (const keeper of others) {
      await keeper.register();
      await keeper.report(old.chunkIds);
    }
    const orders = async () => {
      await tracker.core.reclaim.step();
      return (await Promise.all(others.map((keeper) => keeper.heartbeat()))).flat();
    };
    expect(await orders()).toEqual([]);
    await first!.register();
    expect(await orders()).toMatchObject(others.map(() => ({ action: { chunkIds: old.chunkIds } })));
  });

  it('never answers a part of a version that is being taken apart as if it were all', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [chunkId = ''] = chunkIds;
    const bytes = Array.from({ length: 500 }, () => ({ chunkId, chunkOffset: 0, lengthBytes: 1 }));
    const files = ['/some', '/more'].map((path, more) =>
      fileOf(path, [], { sizeBytes: 500 + more, extents: [...bytes, ...bytes.slice(0, more)] }),
    );
    const sealed = [sealedOf(chunkId, tracker.keepers)];
    const committed = await tracker.core.uploads.commit(session.uploadId, id(), files, sealed);
    await tracker.core.namespace.deleteEntry(['some'], false, undefined, id());
    await tracker.core.namespace.deleteEntry(['more'], false, undefined, id());
    const locate = (file: number, offset: number) =>
      tracker.core.locations.locate({
        target: { version: committed[file]!.version },
        offset,
        lengthBytes: 0,
        pageSize: 10,
      });
    for (const passedMs of [1_000, tracker.settings.reclaimGraceMs]) {
      tracker.clock.advance(passedMs);
      await tracker.core.reclaim.step();
    }
    await failure('NOT_FOUND', locate(0, 0));
    await tracker.core.reclaim.step();
    await failure('NOT_FOUND', locate(1, 0));
    expect((await locate(1, 500)).extents).toHaveLength(1);
  });

  it('starts the grace anew with the tracker', async () => {
    const old = await tracker.put('/file');
    await tracker.put('/file');
    await tracker.pass(50_000);
    await tracker.restart();
    for (const keeper of tracker.keepers) await keeper.register();
    await tracker.pass(59_000);
    expect((await locate(old.version)).extents).toHaveLength(1);
    await tracker.pass(3_000);
    await failure('NOT_FOUND', locate(old.version));
  });

  it('keeps a chunk as long as any file uses it', async () => {
    const { session, chunkIds } = await tracker.begin();
    const part = (path: string, chunkOffset: number) => ({
      names: names(path),
      sizeBytes: 50,
      extents: [{ chunkId: chunkIds[0]!, chunkOffset, lengthBytes: 50 }],
      expectedVersion: undefined,
      createParents: true,
      attributes: {},
    });
    const { sealedOf } = await import('../support/fixture.js');
    const sealed = [sealedOf(chunkIds[0]!, tracker.keepers)];
    await tracker.core.uploads.commit(session.uploadId, id(), [part('/a', 0), part('/b', 50)], sealed);
    await tracker.core.namespace.deleteEntry(['a'], false, undefined, id());
    await tracker.pass(70_000);
    expect(await tracker.chunkState(chunkIds[0]!)).toBe('live');
    await tracker.core.namespace.deleteEntry(['b'], false, undefined, id());
    await tracker.pass(70_000);
    expect(await tracker.chunkState(chunkIds[0]!)).toBe('garbage');
  });

  it('keeps tombstones for a keeper that is away, and finds its pieces garbage when it is back', async () => {
    const { chunkIds } = await tracker.put('/file');
    const [away, ...alive] = tracker.keepers as [(typeof tracker.keepers)[number]];
    await tracker.pass(31_000, alive);
    await tracker.core.namespace.deleteEntry(['file'], false, undefined, id());
    await tracker.pass(200_000, alive);
    expect((await tracker.pieces(chunkIds[0]!))[away.keeperId]).toBe('garbage');
    away.incarnation += 1;
    await away.register();
    await away.report(chunkIds);
    expect((await tracker.pieces(chunkIds[0]!))[away.keeperId]).toBe('garbage');
    expect(await trash()).toContain(chunkIds[0]);
    expect(await tracker.pieces(chunkIds[0]!)).toEqual({});
  });

  it('forgets garbage chunks, closed sessions and old answers, and nothing too early', async () => {
    const { session, chunkIds } = await tracker.begin();
    await tracker.core.uploads.abort(session.uploadId);
    for (let index = 0; index < 5; index += 1) {
      await tracker.core.namespace.createDirectory([`d${index}`], false, id());
    }
    expect(new Set(await trash())).toEqual(new Set(chunkIds));
    await tracker.pass(30_000);
    expect(await tracker.chunkState(chunkIds[0]!)).toBe('garbage');
    expect(tracker.store.counters.requests).toBe(6);
    await tracker.pass(100_000);
    expect(await tracker.chunkState(chunkIds[0]!)).toBeUndefined();
    expect(tracker.store.counters.requests).toBe(2);
    await failure('NOT_FOUND', tracker.core.uploads.get(session.uploadId, 1, ''));
  });

  it('keeps few of the answers for many files, however few others there are', async () => {
    await tracker.end();
    const settings = { requestRetentionMs: 60_000, retainedLongRequests: 2 };
    tracker = await TestTracker.start({ keepers: 3, settings });
    const packs = [];
    for (const top of ['/a', '/b', '/c', '/d']) {
      const { session, chunkIds } = await tracker.begin();
      const files = Array.from({ length: 100 }, (_, n) => fileOf(`${top}/${n}`, chunkIds));
      const sealed = [sealedOf(chunkIds[0]!, tracker.keepers)];
      const requestId = id();
      const commit = () => tracker.core.uploads.commit(session.uploadId, requestId, files, sealed);
      packs.push({ commit, committed: await commit() });
    }
    await tracker.pass(30_000);
    expect(tracker.store.counters.requests).toBe(8);
    await tracker.pass(100_000);
    expect(tracker.store.counters.requests).toBe(6);
    const [, forgotten, kept] = packs;
    await failure('UPLOAD_CLOSED', forgotten!.commit());
    expect(await kept!.commit()).toEqual(kept!.committed);
  });
});
