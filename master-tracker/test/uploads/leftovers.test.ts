import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, failure, fileOf, id, pieceOf, sealedOf } from '../support/fixture.js';

/** A little more than two of the pages in which an upload that is over is given up. */
const many = 1_100;

describe('an upload of very many chunks that is over', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 5 });
  });
  afterEach(() => tracker.end());

  const keeper = (index: number) => tracker.keepers[index]!;

  const chunkStates = async () => {
    const rows = await tracker.store.read(({ db }) =>
      db.selectFrom('chunks').select(['chunk_id', 'state']).orderBy('chunk_id').execute(),
    );
    const of = (...states: string[]) =>
      rows.filter(({ state }) => states.includes(state)).map((row) => row.chunk_id);
    return { unused: of('allocated', 'sealed'), garbage: of('garbage'), live: of('live') };
  };

  /** The most chunks that one transaction gave up. */
  const mostAtOnce = async () => {
    const rows = await tracker.store.read(({ db }) =>
      db
        .selectFrom('chunks')
        .select(({ fn }) => fn.countAll<number>().as('chunks'))
        .where('state', '=', 'garbage')
        .groupBy('garbage_transaction_id')
        .execute(),
    );
    return Math.max(...rows.map(({ chunks }) => chunks));
  };

  const stateOfPiece = async (chunkId: string, index: number) =>
    (await tracker.pieces(chunkId))[keeper(index).keeperId];

  const reclaimAll = async () => {
    while (await tracker.core.reclaim.step());
  };

  const findings = async () => {
    const found: string[] = [];
    for (let cursor; ;) {
      const step = await tracker.core.check.step(cursor);
      found.push(...step.findings.map(({ subject, text }) => `${subject}: ${text}`));
      cursor = step.cursor;
      if (!cursor) return found;
      tracker.clock.advance(step.nextInMs);
      for (const each of tracker.keepers) {
        await each.heartbeat({ slots: 0 });
        if (tracker.core.reports.askedOf(each.keeperId) === '') continue;
        await each.report(await tracker.reported(each));
      }
    }
  };

  it('is over at once, and given up in bounded transactions, also after a restart', async () => {
    const { session, chunkIds } = await tracker.begin({ count: many });
    const sealed = chunkIds.slice(0, 900).map((chunkId) => sealedOf(chunkId, tracker.keepers.slice(0, 2)));
    await tracker.core.uploads.allocate(session.uploadId, 0, [], sealed);
    await tracker.core.uploads.abort(session.uploadId);

    expect(tracker.store.counters.open_uploads).toBe(0);
    expect((await chunkStates()).unused.length).toBeGreaterThan(0);
    expect(await tracker.core.uploads.get(session.uploadId, 10, '')).toMatchObject({
      state: 'aborted',
      sealed: [],
    });
    await failure('UPLOAD_CLOSED', tracker.core.uploads.allocate(session.uploadId, 1, [], []));
    await failure(
      'UPLOAD_CLOSED',
      tracker.core.uploads.commit(session.uploadId, id(), [fileOf('/file', chunkIds.slice(0, 900))], sealed),
    );
    await tracker.core.uploads.abort(session.uploadId);

    await tracker.restart();
    for (const each of tracker.keepers) {
      await each.register();
      await each.report([]);
    }
    await reclaimAll();
    const { unused, garbage, live } = await chunkStates();
    expect({ unused, garbage: garbage.length, live }).toEqual({ unused: [], garbage: many, live: [] });
    expect(await mostAtOnce()).toBeLessThanOrEqual(500);
    const pieces = await tracker.store.read(({ db }) =>
      db.selectFrom('pieces').select('state').distinct().execute(),
    );
    expect(pieces).toEqual([{ state: 'garbage' }]);
  });

  it('takes no piece of its chunks for one that counts, and the check finds nothing wrong', async () => {
    const { session, chunkIds } = await tracker.begin({ count: many });
    const sorted = [...chunkIds].sort();
    const [allocated = '', sealed = ''] = sorted.slice(-2);
    await tracker.core.uploads.allocate(session.uploadId, 0, [], [sealedOf(sealed, [keeper(0), keeper(1)])]);
    await tracker.core.uploads.abort(session.uploadId);
    expect((await chunkStates()).unused).toEqual(expect.arrayContaining([allocated, sealed]));

    expect(await findings()).toEqual([]);
    await keeper(4).heartbeat({ stored: [pieceOf(allocated), pieceOf(sealed)], slots: 0 });
    expect(await stateOfPiece(allocated, 4)).toBe('garbage');
    expect(await stateOfPiece(sealed, 4)).toBe('garbage');
    expect(await tracker.queued()).toEqual([]);

    await reclaimAll();
    expect((await chunkStates()).unused).toEqual([]);
    expect(await findings()).toEqual([]);
  });

  it('leaves what a commit used as it is, and is remembered until the rest is given up', async () => {
    const { session, chunkIds } = await tracker.begin({ count: many });
    const used = chunkIds.slice(0, 3);
    const sealed = used.map((chunkId) => sealedOf(chunkId, tracker.keepers.slice(0, 3)));
    const requestId = id();
    const commit = () =>
      tracker.core.uploads.commit(session.uploadId, requestId, [fileOf('/file', used)], sealed);
    const answer = await commit();

    // Long after anybody may ask for the session, with nothing given up meanwhile.
    await tracker.store.mutate(async ({ db }) => {
      await db.updateTable('uploads').set({ closed_transaction_id: 0 }).execute();
    });
    await tracker.core.reclaim.step();
    expect((await chunkStates()).unused.length).toBeGreaterThan(0);
    expect(await tracker.core.uploads.get(session.uploadId, 10, '')).toMatchObject({ state: 'committed' });

    await reclaimAll();
    expect(await chunkStates()).toMatchObject({ unused: [], live: [...used].sort() });
    expect(await commit()).toEqual(answer);
    expect(await tracker.core.namespace.getEntry(['file'])).toMatchObject({
      durability: { fewestPieces: 3, chunks: 3 },
    });
  });
});
