import { openToken } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, digestOf, failure, names } from '../support/fixture.js';

describe('locations', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  const locate = (path: string, offset = 0, lengthBytes = 0, pageSize = 100) =>
    tracker.core.locations.locate({ target: { names: names(path) }, offset, lengthBytes, pageSize });

  it('resolves a range to the extents that cover it, page by page', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 5 });
    const of = async (...range: [number?, number?, number?]) => {
      const located = await locate('/file', ...range);
      return [located.extents.map((extent) => chunkIds.indexOf(extent.chunkId)), located.nextOffset];
    };
    expect(await of()).toEqual([[0, 1, 2, 3, 4], 0]);
    expect(await of(150, 100)).toEqual([[1, 2], 0]);
    expect(await of(199, 1)).toEqual([[1], 0]);
    expect(await of(0, 0, 2)).toEqual([[0, 1], 200]);
    expect(await of(200, 0, 2)).toEqual([[2, 3], 400]);
    expect(await of(450, 10_000)).toEqual([[4], 0]);
    expect(await of(500)).toEqual([[], 0]);
    expect(await of(Number.MAX_SAFE_INTEGER)).toEqual([[], 0]);
  });

  it('gives all that a reader needs', async () => {
    const { chunkIds } = await tracker.put('/file');
    const [extent] = (await locate('/file')).extents;
    expect(extent).toMatchObject({
      chunkLengthBytes: 100,
      chunkDigest: digestOf(chunkIds[0]!),
      fileOffset: 0,
    });
    expect(extent?.pieces.map((piece) => piece.keeper.address).sort()).toEqual(
      tracker.keepers.map((keeper) => keeper.address),
    );
    const claims = openToken(extent!.readToken, tracker.core.identity.tokenKey);
    expect(claims).toMatchObject({ operation: 'read', chunkId: chunkIds[0], epoch: 1 });
  });

  it('names silent keepers last and spreads readers over the others', async () => {
    await tracker.put('/file');
    await tracker.pass(6_000, tracker.keepers.slice(1));
    const firsts = new Set<string>();
    for (let round = 0; round < 50; round += 1) {
      const pieces = (await locate('/file')).extents[0]!.pieces;
      expect(pieces.map((piece) => piece.reachable)).toEqual([true, true, false]);
      expect(pieces[2]!.keeper.keeperId).toBe(tracker.keepers[0]!.keeperId);
      firsts.add(pieces[0]!.keeper.keeperId);
    }
    expect(firsts.size).toBe(2);
  });

  it('has no extents for an empty file and no version for a directory', async () => {
    const { session } = await tracker.begin({ path: '/empty', count: 0 });
    const { fileOf, id } = await import('../support/fixture.js');
    await tracker.core.uploads.commit(session.uploadId, id(), [fileOf('/dir/empty', [])], []);
    expect(await locate('/dir/empty')).toMatchObject({ sizeBytes: 0, extents: [], nextOffset: 0 });
    await failure('IS_A_DIRECTORY', locate('/dir'));
    await failure('NOT_FOUND', locate('/none'));
  });
});
