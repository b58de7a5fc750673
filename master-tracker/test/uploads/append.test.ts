/** Appending: one commit makes a version of the old extents and the new ones, or nothing. */
import { limits } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { FileVersion } from '../../src/uploads/upload.js';
import { TestTracker, failure, fileOf, id, names, sealedOf } from '../support/fixture.js';

describe('an append', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3, settings: { trashRetentionMs: 3_600_000 } });
  });
  afterEach(() => tracker.end());

  /** A session with `count` chunks, and its commit, which may be repeated. */
  const append = async (
    path: string,
    appendToVersion: number,
    options: { count?: number; requestId?: string; file?: Partial<FileVersion>; pieces?: number } = {},
  ) => {
    const { count = 1, requestId = id(), file = {}, pieces = 3 } = options;
    const policy = { scheme: 'replicas', pieces, needed: 1, minWrite: 2 } as const;
    const { session, chunkIds } = await tracker.begin({ path, count, policy });
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers));
    const version = fileOf(path, chunkIds, { appendToVersion, ...file });
    const commit = (changed: Partial<FileVersion> = {}, id = requestId) =>
      tracker.core.uploads.commit(session.uploadId, id, [{ ...version, ...changed }], sealed);
    return { chunkIds, commit, session };
  };
  const extents = async (version: number): Promise<string[]> => {
    const rows = await tracker.store.read(({ db }) =>
      db
        .selectFrom('extents')
        .select(['chunk_id', 'file_offset'])
        .where('version', '=', version)
        .orderBy('file_offset')
        .execute(),
    );
    expect(rows.map((row) => row.file_offset)).toEqual(rows.map((_, index) => index * 100));
    return rows.map((row) => row.chunk_id);
  };
  const entry = (path: string) => tracker.core.namespace.getEntry(names(path));

  it('has the old extents and then the new ones, and the version before is in the trash', async () => {
    const { chunkIds, version } = await tracker.put('/log', { count: 2 });
    const { chunkIds: added, commit } = await append('/log', version, { count: 2 });
    const [committed] = await commit();
    expect(committed).toMatchObject({ sizeBytes: 400, durability: { chunks: 2, fewestPieces: 3 } });
    expect(await extents(committed!.version)).toEqual([...chunkIds, ...added]);
    expect(await entry('/log')).toMatchObject({
      ...{ sizeBytes: 400, version: committed!.version, durability: { chunks: 4, fewestPieces: 3 } },
      contentDigest: undefined,
    });
    expect(tracker.store.counters).toMatchObject({
      files: 1,
      logical_bytes: 400,
      trashed_bytes: 200,
      chunks: 4,
    });
    const restored = await tracker.core.trash.restore({
      ...{
        names: names('/log'),
        version,
        destination: names('/before'),
        expectedVersion: 0,
        requestId: id(),
      },
    });
    expect(await extents(restored.version)).toEqual(chunkIds);
  });

  it('keeps the mode and not the time; the chunks outlive the versions that brought them', async () => {
    const { session, chunkIds } = await tracker.begin();
    const attributes = { mode: 0o640, modifiedAtUnixMs: 7 };
    const file = fileOf('/log', chunkIds, { attributes, contentDigest: 'ab'.repeat(32) });
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers));
    const [first] = await tracker.core.uploads.commit(session.uploadId, id(), [file], sealed);
    const { commit, chunkIds: added } = await append('/log', first!.version);
    await commit();
    expect(await entry('/log')).toMatchObject({
      attributes: { mode: 0o640, modifiedAtUnixMs: undefined },
      contentDigest: undefined,
    });
    await tracker.core.trash.empty([], id());
    await tracker.pass(900_000);
    for (const chunkId of [...chunkIds, ...added]) expect(await tracker.chunkState(chunkId)).toBe('live');
    await tracker.core.namespace.deleteEntry(names('/log'), false, undefined, id());
    await tracker.core.trash.empty([], id());
    await tracker.pass(900_000);
    for (const chunkId of [...chunkIds, ...added]) expect(await tracker.chunkState(chunkId)).not.toBe('live');
  });

  it('happens once for a request_id, also after a restart', async () => {
    const { version } = await tracker.put('/log');
    const { commit } = await append('/log', version);
    const first = await commit();
    expect(await commit()).toEqual(first);
    await tracker.restart();
    for (const keeper of tracker.keepers) await keeper.register();
    expect(await commit()).toEqual(first);
    expect(await entry('/log')).toMatchObject({ sizeBytes: 200 });
    await failure('UPLOAD_CLOSED', commit({ appendToVersion: first[0]!.version }, id()));
  });

  it('is refused when the path shows something else by then, and may be tried again', async () => {
    const { version } = await tracker.put('/log');
    const mine = await append('/log', version);
    const theirs = await append('/log', version);
    const [first] = await theirs.commit();
    await failure('VERSION_CONFLICT', mine.commit());
    const [second] = await mine.commit({ appendToVersion: first!.version }, id());
    expect(second).toMatchObject({ sizeBytes: 300 });
    expect(await extents(second!.version)).toHaveLength(3);
    expect((await extents(second!.version)).slice(1)).toEqual([...theirs.chunkIds, ...mine.chunkIds]);
    await tracker.core.namespace.deleteEntry(names('/log'), false, undefined, id());
    await failure('VERSION_CONFLICT', (await append('/log', second!.version)).commit());
    await tracker.core.namespace.createDirectory(names('/log'), false, id());
    const onDirectory = await append('/log/x', second!.version);
    await failure('IS_A_DIRECTORY', onDirectory.commit({ names: names('/log') }));
  });

  it('is refused with another number of copies than the file has', async () => {
    const { version } = await tracker.put('/log');
    const { commit } = await append('/log', version, { pieces: 2 });
    await failure('INVALID_ARGUMENT', commit());
    expect(await entry('/log')).toMatchObject({ version, sizeBytes: 100 });
  });

  it('is refused for a file, or a commit, of too many extents', async () => {
    const { chunkIds, version } = await tracker.put('/log');
    const insert = (version: number, from: number, count: number) =>
      tracker.store.mutate(async (tx) => {
        for (let index = from; index < from + count; index += 500) {
          const values = Array.from({ length: Math.min(500, from + count - index) }, (_, at) => ({
            ...{ version, file_offset: (index + at) * 100, length: 100 },
            ...{ chunk_id: chunkIds[0]!, chunk_offset: 0 },
          }));
          await tx.db.insertInto('extents').values(values).execute();
        }
        const sizeBytes = (from + count) * 100;
        await tx.db
          .updateTable('versions')
          .set({ size_bytes: sizeBytes })
          .where('version', '=', version)
          .execute();
      });
    await insert(version, 1, limits.maxExtentsToAppendTo - 1);
    const [committed] = await (await append('/log', version)).commit();
    const tooMany = (await failure(
      'LIMIT_EXCEEDED',
      (await append('/log', committed!.version)).commit(),
    )) as Error & { remedy: string };
    expect(tooMany.message).toContain('/log has 10001 extents');
    expect(tooMany.remedy).toContain('upload the file anew');
    // Eleven times ten thousand in one commit, though each alone would do.
    const { session } = await tracker.begin({ path: '/many' });
    const files = Array.from({ length: 11 }, (_, index) =>
      fileOf(`/f${index}`, [], { appendToVersion: version }),
    );
    const error = await failure(
      'LIMIT_EXCEEDED',
      tracker.core.uploads.commit(session.uploadId, id(), files, []),
    );
    expect(error.message).toContain('in one commit');
  });
});
