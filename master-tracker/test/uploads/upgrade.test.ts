/** A client that asks again after its tracker was replaced by a newer one (S7). */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { TestTracker, fileOf, id, sealedOf } from '../support/fixture.js';

describe('a commit whose answer was lost when the tracker was upgraded', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  it('is known by what was written down before there were packs', async () => {
    const { session, chunkIds } = await tracker.begin({ path: '/file' });
    const { uploadId } = session;
    const requestId = id();
    const file = fileOf('/file', chunkIds);
    const commit = () =>
      tracker.core.uploads.commit(
        uploadId,
        requestId,
        [{ ...file, contentDigest: undefined }],
        [sealedOf(chunkIds[0]!, tracker.keepers)],
      );
    const [committed] = await commit();
    const { names, sizeBytes, extents, createParents, attributes } = file;
    const asked = ['CommitUpload', uploadId, [{ names, sizeBytes, extents, createParents, attributes }]];
    const fingerprint = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
    await tracker.store.mutate(({ db }) =>
      db.updateTable('requests').set({ fingerprint }).where('request_id', '=', requestId).execute(),
    );
    await tracker.restart();
    expect(await commit()).toEqual([committed]);
  });
});
