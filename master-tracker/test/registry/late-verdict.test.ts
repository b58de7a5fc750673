import { HoldfastError } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker } from '../support/fixture.js';

describe('a verdict about a piece that was given up meanwhile', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  it('is no news of a bad piece', async () => {
    const { chunkIds, version } = await tracker.put('/file');
    const [chunkId = ''] = chunkIds;
    const [keeper] = tracker.keepers;
    const located = await tracker.core.locations.locate({
      target: { version },
      ...{ offset: 0, lengthBytes: 0, pageSize: 1 },
    });
    const readToken = located.extents[0]!.readToken;
    await tracker.core.locations.reportBadPiece(chunkId, keeper!.keeperId, readToken);
    const [task] = await keeper!.heartbeat();
    // As trimming and reclamation do.
    await tracker.store.mutate(async ({ db }) => {
      await db
        .updateTable('pieces')
        .set({ state: 'trashed' })
        .where('keeper_id', '=', keeper!.keeperId)
        .where('chunk_id', '=', chunkId)
        .execute();
    });
    await keeper!.complete(task!, new HoldfastError('NOT_FOUND', 'there is no such piece'));
    const kinds = (await tracker.core.events.after(100, 0)).map(({ kind }) => kind);
    expect(kinds).not.toContain('piece-bad');
  });
});
