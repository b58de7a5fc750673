import { defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type LossCounts, addLoss } from '../../src/cluster/loss.js';
import { seed, seededRandom } from '../placement/seeded.js';
import { TestTracker, failure, id, names } from '../support/fixture.js';

describe('what would be lost', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  const without = (...indices: number[]) =>
    tracker.core.losses.preview(indices.map((index) => tracker.keepers[index]!.keeperId));
  const policyOf = (pieces: number) => ({ ...defaultPolicy, pieces, minWrite: 1 });

  it('is nothing without a keeper whose chunks others have, and the rest is told', async () => {
    await tracker.put('/a', { count: 3, on: tracker.keepers.slice(0, 3) });
    await tracker.put('/elsewhere', { on: tracker.keepers.slice(1) });
    expect(await without(0)).toMatchObject({
      ...{ lostChunks: 0, lostFiles: 0, lostPaths: [], endangeredChunks: 0, chunksBelowPolicy: 3 },
      ...{ bytesToCopy: 300, canWrite: true },
      summary: 'nothing would be lost without this keeper; 3 chunks would be below policy; 300 bytes to copy',
    });
    expect(await without(0, 1)).toMatchObject({
      ...{ lostChunks: 0, endangeredChunks: 3, chunksBelowPolicy: 4, bytesToCopy: 700 },
      summary: expect.stringMatching(
        /^nothing would be lost without these 2 keepers; 3 chunks would have one copy left; .* 2 keepers would be left, too few for 3 copies/,
      ),
    });
  });

  it('names the files, wherever they are, once each', async () => {
    const [only] = tracker.keepers;
    await tracker.put('/dir/deep/lost', { count: 3, on: [only!], policy: policyOf(1) });
    await tracker.put('/safe', { count: 3 });
    await tracker.put('/dir/gone', { on: [only!], policy: policyOf(1) });
    await tracker.core.namespace.deleteEntry(names('/dir/gone'), false, undefined, id());
    expect(await without(0)).toMatchObject({
      ...{ lostChunks: 4, lostFiles: 1, lostPaths: ['/dir/deep/lost'] },
      summary: expect.stringMatching(/^DATA WOULD BE LOST without this keeper: 1 file could not be read/),
    });
    await tracker.core.namespace.moveEntry(names('/dir/deep'), names('/moved'), 0, id());
    expect((await without(0)).lostPaths).toEqual(['/moved/lost']);
    await tracker.core.namespace.deleteEntry(names('/moved'), true, undefined, id());
    expect((await without(0)).lostPaths).toEqual([]);
  });

  it('counts what a dead keeper alone has, and not what it had', async () => {
    await tracker.put('/only', { on: tracker.keepers.slice(0, 1), policy: policyOf(1) });
    await tracker.put('/both', { on: tracker.keepers.slice(0, 2), policy: policyOf(2) });
    await tracker.pass(31_000, tracker.keepers.slice(1));
    expect(await without(0)).toMatchObject({ lostChunks: 1, lostPaths: ['/only'], endangeredChunks: 1 });
    // The other copy is on a keeper that is not there.
    expect(await without(1)).toMatchObject({ lostChunks: 1, lostPaths: ['/both'] });
  });

  it('warns of room and of uploads', async () => {
    await tracker.put('/a', { on: tracker.keepers.slice(0, 3) });
    for (const keeper of tracker.keepers) keeper.freeBytes = 10;
    await tracker.pass(1_000);
    expect(await without(0)).toMatchObject({
      roomBytes: 30,
      summary: expect.stringMatching(/MORE THAN the 30 bytes/),
    });
    expect(await without(0, 1, 2)).toMatchObject({
      canWrite: false,
      summary: expect.stringMatching(/nothing could be uploaded by the default policy$/),
    });
  });

  it('is counted for one after the other, and for not too many at once', async () => {
    await tracker.put('/a', { on: tracker.keepers.slice(0, 3) });
    const asked = Array.from({ length: 16 }, () => without(0));
    await failure('LIMIT_EXCEEDED', without(0));
    expect(new Set((await Promise.all(asked)).map(({ summary }) => summary)).size).toBe(1);
    expect(await without(0)).toMatchObject({ chunksBelowPolicy: 1 });
  });

  it('refuses keepers that nobody knows', async () => {
    await failure('NOT_FOUND', tracker.core.losses.preview([tracker.keepers[0]!.keeperId, id()]));
  });

  it(`is what looking at every chunk finds (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    for (let file = 0; file < 25; file += 1) {
      const on = tracker.keepers.filter(() => random() < 0.6);
      const pieces = 1 + Math.floor(random() * 3);
      if (on.length > 0)
        await tracker.put(`/f${file}`, { count: 2, on: on.slice(0, pieces), policy: policyOf(pieces) });
    }
    await tracker.pass(31_000, tracker.keepers.slice(0, 3));
    for (const gone of [[0], [1, 2], [0, 1, 2], [3], [2, 3]]) {
      const ids = gone.map((index) => tracker.keepers[index]!.keeperId);
      const { chunks, rows } = await tracker.store.read(async ({ db }) => ({
        chunks: await db.selectFrom('chunks').selectAll().where('state', '=', 'live').execute(),
        rows: await db
          .selectFrom('pieces')
          .innerJoin('keepers', 'keepers.keeper_id', 'pieces.keeper_id')
          .select(['chunk_id', 'pieces.keeper_id', 'dead'])
          .where('state', '=', 'durable')
          .execute(),
      }));
      const expected: LossCounts = {
        ...{ lostChunks: 0, lostBytes: 0, endangeredChunks: 0 },
        ...{ chunksBelowPolicy: 0, bytesToCopy: 0 },
      };
      for (const chunk of chunks) {
        const holders = rows.filter((row) => row.chunk_id === chunk.chunk_id);
        if (!holders.some((row) => ids.includes(row.keeper_id))) continue;
        const remainingPieces = holders.filter(
          (row) => !ids.includes(row.keeper_id) && row.dead === 0,
        ).length;
        addLoss(expected, [{ lengthBytes: chunk.length ?? 0, policyPieces: chunk.pieces, remainingPieces }]);
      }
      expect({ gone, ...(await without(...gone)) }).toMatchObject({ gone, ...expected });
    }
  });
});
