/** What thousands of files in one chunk mean, from the commit to the last of them. */
import { defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CheckCursor, CheckStep } from '../../src/check/cluster-check.js';
import type { CheckFinding } from '../../src/check/finding.js';
import { TestTracker, failure, fileOf, id, names, sealedOf } from '../support/fixture.js';

describe('packs', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({
      keepers: 4,
      settings: { reclaimGraceMs: 10_000, trashRetentionMs: 60_000 },
    });
  });
  afterEach(() => tracker.end());

  const entry = (path: string) => tracker.core.namespace.getEntry(names(path));
  const remove = (path: string) => tracker.core.namespace.deleteEntry(names(path), true, undefined, id());

  /** Files of ten bytes each, one after the other in one chunk. */
  const pack = async (
    paths: readonly string[],
    { on = tracker.keepers.slice(0, 3), requestId = id(), policy = defaultPolicy, createParents = true } = {},
  ) => {
    const { session, chunkIds } = await tracker.begin({ policy });
    const [chunkId = ''] = chunkIds;
    const files = paths.map((path, index) =>
      fileOf(path, [], {
        sizeBytes: 10,
        extents: [{ chunkId, chunkOffset: 10 * index, lengthBytes: 10 }],
        expectedVersion: 0,
        createParents,
      }),
    );
    const sealed = [sealedOf(chunkId, on, 10 * paths.length)];
    const commit = () =>
      tracker.core.uploads.commit(session.uploadId, requestId, files, sealed, { skipRefused: true });
    return { chunkId, session, commit, committed: await commit() };
  };
  const numbered = (count: number, top = '/d') => Array.from({ length: count }, (_, i) => `${top}/${i}`);

  it('costs a few statements a file, in one transaction', async () => {
    await pack(['/d/first']);
    const before = tracker.store.transactionId;
    const { session, chunkIds } = await tracker.begin();
    const sealed = [sealedOf(chunkIds[0]!, tracker.keepers, 10)];
    const files = numbered(1_000, '/d/e/f/g').map((path) =>
      fileOf(path, [], {
        sizeBytes: 10,
        extents: [{ chunkId: chunkIds[0]!, chunkOffset: 0, lengthBytes: 10 }],
      }),
    );
    tracker.statements = 0;
    await tracker.core.uploads.commit(session.uploadId, id(), files, sealed);
    // Of each: a look for what is there, and its version, extent, entry and change; the way to a directory once.
    expect(tracker.statements).toBeLessThan(5 * files.length + 50);
    expect(tracker.store.transactionId).toBe(before + 2);
    expect(tracker.store.counters).toMatchObject({ files: 1_001, logical_bytes: 10_010 });
  });

  it('leaves out what cannot be shown, tells of each file, and says the same again', async () => {
    await tracker.put('/taken');
    await tracker.put('/a/dir/x');
    const requestId = id();
    const paths = ['/a/1', '/taken', '/a/dir', '/taken/below', '/b/2', '/b/2/below'];
    const { committed, commit, chunkId } = await pack(paths, { requestId });
    expect(committed.map((file) => file.refused?.code ?? 'shown')).toEqual([
      ...['shown', 'ALREADY_EXISTS', 'ALREADY_EXISTS', 'NOT_A_DIRECTORY', 'shown', 'NOT_A_DIRECTORY'],
    ]);
    expect(committed[1]).toMatchObject({ version: 0, refused: { facts: { path: '/taken' } } });
    expect(committed[0]?.durability).toMatchObject({ chunks: 1, fewestPieces: 3 });
    expect(await tracker.chunkState(chunkId)).toBe('live');
    expect(await entry('/b/2')).toMatchObject({ sizeBytes: 10, version: committed[4]?.version });
    await tracker.restart();
    expect(await commit()).toEqual(committed);
    expect(tracker.store.counters.files).toBe(4);
  });

  it('makes no directory for a file that it leaves out, and keeps no chunk for such files alone', async () => {
    const { committed, chunkId } = await pack(['/no/such/parent'], { createParents: false });
    expect(committed).toMatchObject([{ version: 0, refused: { code: 'NOT_FOUND' } }]);
    await failure('NOT_FOUND', entry('/no'));
    expect(await tracker.chunkState(chunkId)).toBe('garbage');
    expect(tracker.store.counters).toMatchObject({ files: 0, directories: 0, chunks: 0, open_uploads: 0 });
  });

  it('refuses all for what is wrong with the pack itself', async () => {
    await failure('INVALID_ARGUMENT', pack(['/a', '/b'], { on: tracker.keepers.slice(0, 1) }));
    await failure('INVALID_ARGUMENT', pack(['/a', '/a']));
    await failure('NOT_FOUND', entry('/a'));
  });

  it('keeps the chunk until its last file is gone, in the trash too', async () => {
    const { chunkId } = await pack(['/d/a', '/d/b', '/c']);
    await remove('/d');
    await remove('/c');
    await tracker.pass(5_000);
    expect(await tracker.chunkState(chunkId)).toBe('live');
    await tracker.pass(75_000);
    expect(await tracker.chunkState(chunkId)).toBe('garbage');
    expect(tracker.store.counters).toMatchObject({ chunks: 0, retired_bytes: 0, trashed_versions: 0 });
  });

  it('keeps it for one file that is left, which can be read and is told of', async () => {
    const { chunkId, committed } = await pack(['/d/a', '/d/b', '/c']);
    await remove('/d');
    await tracker.pass(120_000);
    expect(await tracker.chunkState(chunkId)).toBe('live');
    const { version = 0 } = committed[2] ?? {};
    const located = await tracker.core.locations.locate({
      ...{ target: { version }, offset: 3, lengthBytes: 4, pageSize: 10 },
    });
    expect(located.extents).toMatchObject([{ chunkId, chunkOffset: 20, lengthBytes: 10 }]);
    expect(await checkAll()).toEqual([]);
  });

  it('comes back from the trash file by file', async () => {
    const { chunkId } = await pack(['/d/a', '/d/b']);
    await remove('/d');
    const asked = {
      names: names('/d/b'),
      version: undefined,
      destination: names('/d/b'),
      expectedVersion: 0,
    };
    await tracker.core.trash.restore({ ...asked, requestId: id() });
    await tracker.pass(120_000);
    expect(await entry('/d/b')).toMatchObject({ sizeBytes: 10, durability: { chunks: 1, fewestPieces: 3 } });
    expect(await tracker.chunkState(chunkId)).toBe('live');
  });

  it('gives up a pack of a thousand files whose trash is emptied', async () => {
    await pack(numbered(1_000));
    await remove('/d');
    await tracker.core.trash.empty([], id());
    await tracker.pass(60_000);
    expect(tracker.store.counters).toMatchObject({ chunks: 0, retired_bytes: 0, trashed_versions: 0 });
  });

  it('queues a pack for its missing copy once, and counts every file that would be lost with it', async () => {
    const [only] = tracker.keepers;
    const policy = { ...defaultPolicy, pieces: 2, minWrite: 1 };
    const { chunkId, committed } = await pack(numbered(600), { on: [only!], policy });
    expect(committed.every(({ durability }) => durability.fewestPieces === 1)).toBe(true);
    expect(committed[599]?.durability).toMatchObject({ chunks: 1, policyPieces: 2, chunksBelowPolicy: 1 });
    expect(await tracker.queued()).toEqual([chunkId]);
    const loss = await tracker.core.losses.preview([only!.keeperId]);
    expect(loss).toMatchObject({ lostChunks: 1, lostFiles: 600 });
    expect(await tracker.core.namespace.getEntry(names('/d/7'))).toMatchObject({
      durability: { chunks: 1, fewestPieces: 1 },
    });
  });

  it('names a file of a pack that nobody can read', async () => {
    const { chunkId } = await pack(numbered(5));
    await tracker.store.mutate(async (tx) => {
      await tx.db.deleteFrom('pieces').where('chunk_id', '=', chunkId).execute();
    });
    const findings = await checkAll();
    const lost = findings.find(({ invariant, subject }) => invariant === 'S1' && subject === chunkId);
    expect(lost?.text).toMatch(/no keeper has it; \/d\/\d uses it/);
  });

  /** With keepers that say what the metadata says. */
  const checkAll = async () => {
    const findings: CheckFinding[] = [];
    for (let cursor: CheckCursor | undefined; ;) {
      const step: CheckStep = await tracker.core.check.step(cursor);
      findings.push(...step.findings);
      cursor = step.cursor;
      if (!cursor) return findings;
      tracker.clock.advance(step.nextInMs);
      for (const keeper of tracker.keepers) {
        await keeper.heartbeat({ slots: 0 });
        if (tracker.core.reports.askedOf(keeper.keeperId) === '') continue;
        await keeper.report(await tracker.reported(keeper), 30);
      }
    }
  };
});
