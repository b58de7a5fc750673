/** Pieces that keepers have and the metadata does not know: when they go, and above all when they do not. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type FakeKeeper, TestTracker, failure, id } from '../support/fixture.js';

const hourMs = 3_600_000;

describe('pieces that the metadata does not know', () => {
  let tracker: TestTracker;
  let keeper: FakeKeeper;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3, settings: { unknownGraceMs: hourMs } });
    keeper = tracker.keepers[0]!;
  });
  afterEach(() => tracker.end());

  /** Time passes, with heartbeats a minute apart as far as leases allow. */
  const wait = async (durationMs: number): Promise<void> => {
    for (let passedMs = 0; passedMs < durationMs; passedMs += 20_000) {
      tracker.clock.advance(20_000);
      for (const each of tracker.keepers) await each.heartbeat({ slots: 0 });
      await tracker.core.reclaim.step();
    }
  };
  const report = async (chunkIds: readonly string[]): Promise<void> => {
    tracker.core.reports.requireSince(keeper.keeperId, tracker.store.transactionId);
    await keeper.report(chunkIds);
  };
  /** What the keeper is told to trash. */
  const trashed = async (): Promise<readonly string[]> => {
    await tracker.core.reclaim.step();
    const found: string[] = [];
    for (const task of await keeper.heartbeat()) {
      if (task.action.kind !== 'trash') continue;
      found.push(...task.action.chunkIds);
      await keeper.complete(task);
    }
    return found.sort();
  };
  const candidates = () =>
    tracker.store.read(({ db }) => db.selectFrom('unknown_pieces').selectAll().execute());
  const held = async () =>
    (await tracker.core.events.latest(100, Infinity)).filter(({ kind }) => kind === 'unknown-pieces-held');

  it('go to the trash after two reports, a grace apart', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 2 });
    const leftovers = [id(), id()].sort();
    const all = [...chunkIds, ...leftovers];
    await report(all);
    expect(await trashed()).toEqual([]);
    await wait(hourMs / 2);
    await report(all);
    expect(await trashed()).toEqual([]);
    await wait(hourMs / 2 + 60_000);
    expect(await trashed()).toEqual([]);
    await report(all);
    expect(await trashed()).toEqual(leftovers);
    expect(await trashed()).toEqual([]);
    expect(await candidates()).toEqual([]);
    for (const chunkId of chunkIds) expect((await tracker.pieces(chunkId))[keeper.keeperId]).toBe('durable');
    expect(await held()).toEqual([]);
  });

  it('are forgotten when the keeper does not name them any more', async () => {
    const [gone, stays] = [id(), id()];
    await report([gone, stays]);
    await wait(hourMs + 60_000);
    await report([stays]);
    expect(await trashed()).toEqual([stays]);
    await report([gone, stays]);
    expect(await trashed()).toEqual([]);
    expect(await candidates()).toMatchObject([{ chunk_id: gone }, { chunk_id: stays }].sort(byChunk));
  });

  it('are not judged by what an earlier start of the tracker was told', async () => {
    const leftover = id();
    await report([leftover]);
    await wait(hourMs + 60_000);
    await tracker.restart();
    for (const each of tracker.keepers) {
      await each.register();
      if (each !== keeper) await each.report([]);
    }
    await keeper.report([leftover]);
    expect(await trashed()).toEqual([]);
    await wait(hourMs + 60_000);
    await report([leftover]);
    expect(await trashed()).toEqual([leftover]);
  });

  it('are not judged before the tracker knows who is there', async () => {
    await tracker.restart();
    await keeper.register();
    await keeper.report([id()]);
    expect(await candidates()).toEqual([]);
  });

  it('are kept when they are many, until an operator says so', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 20 });
    const many = Array.from({ length: 11 }, id).sort();
    const all = [...chunkIds, ...many];
    await report(all);
    await wait(hourMs + 60_000);
    await report(all);
    expect(await trashed()).toEqual([]);
    expect(await held()).toMatchObject([
      { subject: keeper.keeperId, text: expect.stringMatching(/11 of .* 31/) },
    ]);
    await report(all);
    expect(await held()).toHaveLength(1);
    const requestId = id();
    const accept = () => tracker.core.unknownPieces.accept(keeper.keeperId, requestId);
    expect(await accept()).toEqual({ trashed: 11, kept: 0 });
    expect(await accept()).toEqual({ trashed: 11, kept: 0 });
    expect(await trashed()).toEqual(many);
    for (const chunkId of chunkIds) expect((await tracker.pieces(chunkId))[keeper.keeperId]).toBe('durable');
  });

  it('a hundredth of a keeper are leftovers, more are not', async () => {
    const known: string[] = [];
    for (let file = 0; known.length < 1_200; file += 1) {
      known.push(...(await tracker.put(`/file-${file}`, { count: 64 })).chunkIds);
      for (const each of tracker.keepers) await each.heartbeat();
    }
    const some = Array.from({ length: 12 }, id).sort();
    for (const round of [0, 1]) {
      await report([...known, ...some]);
      if (round === 0) await wait(hourMs + 60_000);
    }
    expect(await trashed()).toEqual(some);
    expect(await held()).toEqual([]);
  });

  it('an operator cannot have trashed what no second report has named', async () => {
    await report(Array.from({ length: 20 }, id));
    await wait(hourMs + 60_000);
    const accepted = await tracker.core.unknownPieces.accept(keeper.keeperId, id());
    expect(accepted).toEqual({ trashed: 0, kept: 20 });
    await failure('NOT_FOUND', tracker.core.unknownPieces.accept(id(), id()));
  });

  it('an operator cannot have trashed what only an earlier start of the tracker was told', async () => {
    const many = Array.from({ length: 20 }, id);
    await report(many);
    await wait(hourMs + 60_000);
    await report(many);
    await tracker.restart();
    for (const each of tracker.keepers) await each.register();
    await wait(hourMs + 60_000);
    const accepted = await tracker.core.unknownPieces.accept(keeper.keeperId, id());
    expect(accepted).toEqual({ trashed: 0, kept: 20 });
  });

  it('are kept by metadata that went backwards, whatever an operator says', async () => {
    const leftover = id();
    await report([leftover]);
    await wait(hourMs + 60_000);
    const { clusterId, epoch } = tracker.core.identity;
    const later = { clusterId, epoch: epoch + 1, instanceId: id(), transactionId: 99_999 };
    await keeper.register(clusterId, later);
    await failure('METADATA_REGRESSED', keeper.report([leftover]));
    await failure('METADATA_REGRESSED', tracker.core.unknownPieces.accept(keeper.keeperId, id()));
    expect(await trashed()).toEqual([]);
  });

  it('of a keeper that two claim to be are not judged', async () => {
    const rival = { ...keeper.identity, incarnation: 0, address: '127.0.0.1:1' };
    tracker.core.membership.hearRival(rival, tracker.clock.monotonicMs());
    tracker.clock.advance(6_000);
    await keeper.heartbeat({ slots: 0 });
    tracker.core.membership.hearRival(rival, tracker.clock.monotonicMs());
    await report([id()]);
    expect(await candidates()).toEqual([]);
  });

  it('bring nothing back: what was deleted stays deleted, also when its tombstone is gone', async () => {
    const { chunkIds, version } = await tracker.put('/file', { count: 2 });
    const others = tracker.keepers.slice(1);
    await tracker.pass(31_000, others);
    await tracker.core.namespace.deleteEntry(['file'], false, undefined, id());
    await tracker.core.trash.empty([], id());
    await tracker.pass(11 * 60_000, others);
    for (const chunkId of chunkIds) expect(await tracker.chunkState(chunkId)).toBe('garbage');
    // As when a keeper is forgotten: nothing is left of the file.
    await tracker.store.mutate(async ({ db }) => {
      await db.deleteFrom('pieces').where('chunk_id', 'in', chunkIds).execute();
      await db.deleteFrom('chunks').where('chunk_id', 'in', chunkIds).execute();
    });
    keeper.incarnation += 1;
    await keeper.register();
    await keeper.report(chunkIds);
    await keeper.heartbeat({
      stored: chunkIds.map((chunkId) => ({ chunkId, lengthBytes: 100, digest: '' })),
    });
    await failure('NOT_FOUND', tracker.core.namespace.getEntry(['file']));
    for (const chunkId of chunkIds) {
      expect(await tracker.chunkState(chunkId)).toBeUndefined();
      expect(await tracker.pieces(chunkId)).toEqual({});
    }
    expect(version).toBeGreaterThan(0);
    await wait(hourMs + 60_000);
    await report(chunkIds);
    expect(await trashed()).toEqual([...chunkIds].sort());
  });

  it('of a keeper that was away, with its tombstones, are trashed at once', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 2 });
    const others = tracker.keepers.slice(1);
    await tracker.pass(31_000, others);
    await tracker.core.namespace.deleteEntry(['file'], false, undefined, id());
    await tracker.core.trash.empty([], id());
    await tracker.pass(11 * 60_000, others);
    keeper.incarnation += 1;
    await keeper.register();
    await keeper.report(chunkIds);
    expect(await trashed()).toEqual([...chunkIds].sort());
  });
});

const byChunk = (a: { chunk_id: string }, b: { chunk_id: string }): number =>
  a.chunk_id < b.chunk_id ? -1 : 1;

describe('keepers report again', () => {
  it('about every reportIntervalMs, not all at once', async () => {
    const tracker = await TestTracker.start({ keepers: 8, settings: { reportIntervalMs: 100_000 } });
    try {
      const askedAt = new Map<string, number>();
      for (let second = 1; second <= 130; second += 1) {
        await tracker.put(`/file-${second}`);
        await tracker.pass(1_000);
        for (const { keeperId } of tracker.keepers) {
          if (tracker.core.reports.askedOf(keeperId) !== '' && !askedAt.has(keeperId))
            askedAt.set(keeperId, second);
        }
      }
      expect(askedAt.size).toBe(8);
      expect(Math.min(...askedAt.values())).toBeGreaterThanOrEqual(75);
      expect(new Set(askedAt.values()).size).toBeGreaterThan(2);
    } finally {
      await tracker.end();
    }
  });
});
