import { type Receipt, defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, digestOf, failure, fileOf, id, names, pieceOf, sealedOf } from '../support/fixture.js';

describe('uploads', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  const uploads = () => tracker.core.uploads;
  const entry = (path: string) => tracker.core.namespace.getEntry(names(path));

  it('shows a file whole after the commit and not before', async () => {
    const { session, chunkIds } = await tracker.begin({ path: '/a/file', count: 2 });
    await failure('NOT_FOUND', entry('/a/file'));
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers.slice(0, 3)));
    const files = [fileOf('/a/file', chunkIds)];
    const [committed] = await uploads().commit(session.uploadId, id(), files, sealed);
    expect(committed?.durability).toEqual({
      chunks: 2,
      fewestPieces: 3,
      policyPieces: 3,
      chunksBelowPolicy: 0,
    });
    expect(await entry('/a/file')).toMatchObject({ sizeBytes: 200, version: committed?.version });
    expect(await tracker.queued()).toEqual([]);
  });

  it('costs few statements for a small file, and none outside of its two transactions', async () => {
    const read = tracker.store.read.bind(tracker.store);
    let reads = 0;
    tracker.store.read = (work) => {
      reads += 1;
      return read(work);
    };
    await tracker.put('/a/other');
    [tracker.statements, reads] = [0, 0];
    const { session, chunkIds } = await tracker.begin({ path: '/a/file' });
    // The request looked for, two names, session, chunk, pieces and answer written, and the cluster's row.
    expect(tracker.statements).toBe(8);
    tracker.statements = 0;
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers.slice(0, 3)));
    await uploads().commit(session.uploadId, id(), [fileOf('/a/file', chunkIds)], sealed);
    expect(tracker.statements).toBe(20);
    expect(reads).toBe(0);
  });

  it('renews the lease of a session that is begun again, and of none that is over', async () => {
    const requestId = id();
    const { session, chunkIds } = await tracker.begin({ requestId });
    const halfMs = tracker.settings.uploadLeaseMs / 2;
    await tracker.pass(halfMs + 1_000);
    await tracker.begin({ requestId });
    await tracker.pass(halfMs + 1_000);
    expect(await uploads().expire(10)).toBe(0);
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers));
    await uploads().commit(session.uploadId, id(), [fileOf('/file', chunkIds)], sealed);
    await tracker.begin({ requestId });
    await tracker.pass(2 * halfMs + 1_000);
    expect(await uploads().expire(10)).toBe(0);
    expect(tracker.store.counters.open_uploads).toBe(0);
  });

  it('keeps what is acknowledged and open sessions across a restart, and commits once', async () => {
    const { session, chunkIds } = await tracker.begin({ path: '/file', count: 1 });
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers));
    await uploads().allocate(session.uploadId, 0, [], sealed);
    await tracker.restart();
    expect(await uploads().get(session.uploadId, 10, '')).toMatchObject({
      state: 'open',
      sealed: [{ chunkId: chunkIds[0], lengthBytes: 100 }],
    });
    const request = id();
    const files = [fileOf('/file', chunkIds)];
    const first = await uploads().commit(session.uploadId, request, files, []);
    await tracker.restart();
    expect(await uploads().commit(session.uploadId, request, files, [])).toEqual(first);
    await failure('UPLOAD_CLOSED', uploads().commit(session.uploadId, id(), files, []));
    expect(tracker.store.counters).toMatchObject({ files: 1, chunks: 1, open_uploads: 0 });
  });

  it('answers BeginUpload again with the same session and the same chunks', async () => {
    const requestId = id();
    const first = await tracker.begin({ count: 2, requestId });
    expect(await tracker.begin({ count: 2, requestId })).toEqual(first);
    await failure('REQUEST_ID_REUSED', tracker.begin({ count: 3, requestId }));
    expect(tracker.store.counters.open_uploads).toBe(1);
  });

  it('lets two uploads to one path each show its own version; the last commit wins', async () => {
    const one = await tracker.begin();
    const two = await tracker.begin();
    const commit = (upload: typeof one, expectedVersion?: number) =>
      uploads().commit(
        upload.session.uploadId,
        id(),
        [fileOf('/file', upload.chunkIds, { expectedVersion })],
        upload.chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers)),
      );
    const [second] = await commit(two, 0);
    await failure('ALREADY_EXISTS', commit(one, 0));
    await failure('VERSION_CONFLICT', commit(one, 4_711));
    const [first] = await commit(one, second?.version);
    expect(await entry('/file')).toMatchObject({ version: first?.version, sizeBytes: 100 });
    expect(tracker.store.counters).toMatchObject({ files: 1, logical_bytes: 100 });
  });

  it('packs many files into one chunk, and refuses all of them if one is refused', async () => {
    const { session, chunkIds } = await tracker.begin({ path: '/taken' });
    await tracker.core.namespace.createDirectory(['taken'], false, id());
    const [chunkId = ''] = chunkIds;
    const part = (path: string, chunkOffset: number) =>
      fileOf(path, [], { sizeBytes: 50, extents: [{ chunkId, chunkOffset, lengthBytes: 50 }] });
    const sealed = [sealedOf(chunkId, tracker.keepers)];
    const commit = (paths: string[]) =>
      uploads().commit(
        session.uploadId,
        id(),
        paths.map((path, i) => part(path, 50 * i)),
        sealed,
      );
    await failure('IS_A_DIRECTORY', commit(['/p/a', '/taken']));
    await failure('NOT_FOUND', entry('/p'));
    await commit(['/p/a', '/p/b']);
    expect(tracker.store.counters).toMatchObject({ files: 2, chunks: 1, logical_bytes: 100 });
  });

  it('refuses a commit that does not fit together, and leaves the session open', async () => {
    const { session, chunkIds } = await tracker.begin({ count: 2 });
    const other = await tracker.begin({ count: 2 });
    const [chunkId = '', unsealed = ''] = chunkIds;
    const [foreign = '', foreignUnsealed = ''] = other.chunkIds;
    const sealed = [sealedOf(chunkId, tracker.keepers)];
    await uploads().allocate(other.session.uploadId, 0, [], [sealedOf(foreign, tracker.keepers)]);
    const commit = (file: ReturnType<typeof fileOf>, seals = sealed) =>
      uploads().commit(session.uploadId, id(), [file], seals);
    const refused = [
      fileOf('/f', [chunkId], { sizeBytes: 99 }),
      fileOf('/f', [], { extents: [{ chunkId, chunkOffset: 1, lengthBytes: 100 }], sizeBytes: 100 }),
      fileOf('/f', [unsealed]),
      fileOf('/f', [foreign]),
      fileOf('/f', (await tracker.put('/live')).chunkIds),
      fileOf('/f', [id()]),
    ];
    for (const file of refused) await failure('INVALID_ARGUMENT', (async () => commit(file))());
    // In good company.
    for (const wrong of [
      sealedOf(foreignUnsealed, tracker.keepers),
      sealedOf(unsealed, tracker.keepers, session.chunkSizeBytes + 1),
    ]) {
      await failure('INVALID_ARGUMENT', commit(fileOf('/f', [chunkId]), [...sealed, wrong]));
    }
    await failure('NOT_FOUND', commit(fileOf('/no/parent', [chunkId], { createParents: false })));
    await commit(fileOf('/f', [chunkId]));
  });

  it('counts only receipts of distinct, known storages for these very bytes', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [chunkId = ''] = chunkIds;
    const [a, b] = tracker.keepers.map((keeper) => keeper.receipt(chunkId)) as [Receipt, Receipt];
    const good = sealedOf(chunkId, []);
    const files = [fileOf('/file', chunkIds)];
    const commit = (...receipts: (typeof good.receipts)[number][]) =>
      uploads().commit(session.uploadId, id(), files, [{ ...good, receipts }]);
    const forged = { ...b, signature: Buffer.alloc(32) };
    // Each is right but for one thing.
    const forOther = tracker.keepers[1]!.receipt(id(), 100, digestOf(chunkId));
    const otherLength = tracker.keepers[1]!.receipt(chunkId, 99);
    const otherBytes = tracker.keepers[1]!.receipt(chunkId, 100, digestOf(id()));
    await failure('INVALID_ARGUMENT', commit());
    for (const wrong of [a, forged, forOther, otherLength, otherBytes]) {
      await failure('INVALID_ARGUMENT', commit(a, wrong));
    }
    await commit(a, b, forged);
    expect(await tracker.queued()).toEqual([chunkId]);
    expect(Object.values(await tracker.pieces(chunkId))).toEqual(['durable', 'durable']);
  });

  it('does not count a storage that was wiped meanwhile', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [chunkId = ''] = chunkIds;
    const sealed = [sealedOf(chunkId, tracker.keepers.slice(0, 2))];
    tracker.keepers[0]!.storageId = id();
    await tracker.keepers[0]!.register();
    await failure(
      'INVALID_ARGUMENT',
      uploads().commit(session.uploadId, id(), [fileOf('/file', chunkIds)], sealed),
    );
  });

  it('repairs what was committed with the receipt of a keeper that died before the commit', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [dead, ...others] = tracker.keepers.slice(0, 3);
    await uploads().allocate(session.uploadId, 0, [], [sealedOf(chunkIds[0]!, [dead!, ...others])]);
    await tracker.pass(31_000, tracker.keepers.slice(1));
    const [committed] = await uploads().commit(session.uploadId, id(), [fileOf('/file', chunkIds)], []);
    expect(committed?.durability).toMatchObject({ fewestPieces: 2, chunksBelowPolicy: 1 });
    expect((await entry('/file')).durability).toEqual(committed?.durability);
    expect(await tracker.queued()).toEqual(chunkIds);
  });

  it('refuses a commit whose paths would keep everybody else waiting', async () => {
    const { session } = await tracker.begin({ count: 0 });
    const deep = Array.from({ length: 2_000 }, () => 'a').join('/');
    const files = Array.from({ length: 101 }, (_, index) => fileOf(`/${index}/${deep}`, []));
    await failure('LIMIT_EXCEEDED', (async () => uploads().commit(session.uploadId, id(), files, []))());
  });

  it('seals a chunk once: other bytes under the same id are refused', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [chunkId = ''] = chunkIds;
    const seal = (lengthBytes: number) =>
      uploads().allocate(session.uploadId, 0, [], [sealedOf(chunkId, tracker.keepers, lengthBytes)]);
    await seal(100);
    await seal(100);
    await failure('INVALID_ARGUMENT', seal(101));
    await failure(
      'INVALID_ARGUMENT',
      uploads().allocate(session.uploadId, 0, [], [sealedOf(chunkId, []), sealedOf(chunkId, [])]),
    );
  });

  it('takes a piece into account that its keeper reported before the seal', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [chunkId = ''] = chunkIds;
    const [a, b, c] = tracker.keepers as [never, never, (typeof tracker.keepers)[number], never];
    await c.heartbeat({ stored: [pieceOf(chunkId)] });
    await uploads().commit(session.uploadId, id(), [fileOf('/file', chunkIds)], [sealedOf(chunkId, [a, b])]);
    expect((await tracker.pieces(chunkId))[c.keeperId]).toBe('durable');
    expect(await tracker.queued()).toEqual([]);
  });

  it('gives up the chunks that a commit does not use, and only those', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [retried] = await uploads().allocate(session.uploadId, 1, [], []);
    const used = retried?.chunkId ?? '';
    const sealed = [sealedOf(used, tracker.keepers)];
    await uploads().commit(session.uploadId, id(), [fileOf('/file', [used])], sealed);
    expect(await tracker.chunkState(used)).toBe('live');
    expect(await tracker.chunkState(chunkIds[0] ?? '')).toBe('garbage');
    expect(Object.values(await tracker.pieces(chunkIds[0] ?? ''))).toEqual(['garbage', 'garbage', 'garbage']);
  });

  it('gives up the chunks of an aborted session, and late pieces with them', async () => {
    const { session, chunkIds } = await tracker.begin();
    const [chunkId = ''] = chunkIds;
    await uploads().abort(session.uploadId);
    await uploads().abort(session.uploadId);
    await uploads().abort(id());
    expect(await tracker.chunkState(chunkId)).toBe('garbage');
    // Also of the one that was not to get a piece.
    for (const late of tracker.keepers) {
      await late.heartbeat({ stored: [pieceOf(chunkId)] });
      expect((await tracker.pieces(chunkId))[late.keeperId]).toBe('garbage');
    }
    await failure('UPLOAD_CLOSED', uploads().allocate(session.uploadId, 1, [], []));
    const { session: done } = await tracker.begin({ path: '/x' });
    await uploads().commit(done.uploadId, id(), [fileOf('/empty', [])], []);
    await failure('UPLOAD_CLOSED', uploads().abort(done.uploadId));
  });

  it('ends a session when nothing of it is heard for its lease, which starts anew with the tracker', async () => {
    const { session, chunkIds } = await tracker.begin();
    const { uploadLeaseMs } = tracker.settings;
    expect(await expiredWithin(uploadLeaseMs - 1)).toBe(0);
    await uploads().allocate(session.uploadId, 0, [], []);
    expect(await expiredWithin(uploadLeaseMs - 1)).toBe(0);
    await tracker.restart();
    expect(await expiredWithin(uploadLeaseMs - 1)).toBe(0);
    expect(await expiredWithin(1)).toBe(1);
    expect(await tracker.chunkState(chunkIds[0]!)).toBe('garbage');
    expect((await uploads().get(session.uploadId, 10, '')).state).toBe('aborted');
  });

  it('ends no session because the tracker itself was paused', async () => {
    await tracker.begin();
    const { uploadLeaseMs } = tracker.settings;
    await expiredWithin(5_000);
    tracker.clock.advance(3 * uploadLeaseMs);
    expect(await uploads().expire(10)).toBe(0);
    expect(await expiredWithin(uploadLeaseMs - 1)).toBe(0);
    expect(await expiredWithin(1)).toBe(1);
  });

  /** Lets time pass as the worker sees it, a second at a time; how many sessions ended. */
  async function expiredWithin(durationMs: number): Promise<number> {
    let expired = 0;
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 1_000) {
      tracker.clock.advance(Math.min(1_000, leftMs));
      expired += await uploads().expire(10);
    }
    return expired;
  }

  it('says why it cannot place a chunk, and goes on with enough keepers', async () => {
    for (const keeper of tracker.keepers.slice(1)) keeper.freeBytes = 0;
    for (const keeper of tracker.keepers) await keeper.heartbeat();
    await failure('OUT_OF_SPACE', tracker.begin());
    await tracker.pass(6_000, tracker.keepers.slice(0, 1));
    await failure('NOT_ENOUGH_KEEPERS', tracker.begin());
    expect((await tracker.begin({ policy: { ...defaultPolicy, minWrite: 1 } })).chunkIds).toHaveLength(1);
  });

  it('has clients ask again, right after its start, until it knows which keepers are there', async () => {
    await tracker.restart();
    await failure('UNAVAILABLE', tracker.begin());
    for (const keeper of tracker.keepers.slice(1)) await keeper.register();
    expect((await tracker.begin()).chunkIds).toHaveLength(1);

    await tracker.restart();
    await failure('UNAVAILABLE', tracker.begin());
    await tracker.pass(31_000, []);
    await failure('NOT_ENOUGH_KEEPERS', tracker.begin());
  });

  it('refuses more open sessions than it can keep', async () => {
    const small = await TestTracker.start({ settings: { maxOpenUploads: 1 } });
    await small.begin({ count: 0 });
    await failure('LIMIT_EXCEEDED', small.begin({ count: 0 }));
    await small.end();
  });
});
