import { limits, openToken } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Locations } from '../../src/locations/locations.js';
import { Readers } from '../../src/locations/readers.js';
import { TaskBoard } from '../../src/registry/task-board.js';
import { TestTracker, digestOf, fileOf, id, sealedOf } from '../support/fixture.js';

describe('locating many files', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  const locate = (versions: number[]) => tracker.core.locations.locateFiles(versions);

  /** Files whose extents, of 10 bytes each, stand one after the other in chunks of `perChunk` of them. */
  const pack = async (extentsOf: readonly number[], perChunk: number) => {
    const total = extentsOf.reduce((sum, count) => sum + count, 0);
    const lengthOf = (chunk: number) => 10 * Math.min(perChunk, total - chunk * perChunk);
    const { session, chunkIds } = await tracker.begin({ count: Math.ceil(total / perChunk) });
    let next = 0;
    const files = extentsOf.map((count, n) => {
      const extents = Array.from({ length: count }, () => {
        const at = next++;
        const chunkId = chunkIds[Math.floor(at / perChunk)]!;
        return { chunkId, chunkOffset: (at % perChunk) * 10, lengthBytes: 10 };
      });
      return fileOf(`/f${n}`, [], { sizeBytes: count * 10, extents });
    });
    const sealed = chunkIds.map((chunkId, n) => sealedOf(chunkId, tracker.keepers, lengthOf(n)));
    const committed = await tracker.core.uploads.commit(session.uploadId, id(), files, sealed);
    return { chunkIds, files, versions: committed.map(({ version }) => version) };
  };

  it('gives all that a reader needs, and an empty file no extents', async () => {
    const { chunkIds, files, versions } = await pack([1, 0, 2, 3], 4);
    const located = await locate(versions);
    expect(located.files).toEqual(
      files.map(({ sizeBytes, extents }, n) => ({
        ...{ status: 'located', version: versions[n], sizeBytes, extents },
      })),
    );
    expect(located.chunks).toMatchObject(
      chunkIds.map((chunkId, n) => ({ chunkId, lengthBytes: [40, 20][n], digest: digestOf(chunkId) })),
    );
    for (const { chunkId, pieces, readToken } of located.chunks) {
      expect(pieces.map(({ reachable }) => reachable)).toEqual([true, true, true]);
      const claims = openToken(readToken, tracker.core.identity.tokenKey);
      expect(claims).toMatchObject({ operation: 'read', chunkId });
    }
  });

  it('asks the database as often for a thousand files as for ten', async () => {
    const { versions } = await pack(Array<number>(limits.maxLocatedFiles).fill(1), 100);
    let statements = 0;
    const { store } = tracker;
    const read = store.read.bind(store);
    store.read = (work) =>
      read((snapshot) => {
        const db = snapshot.db.withPlugin({
          transformQuery: ({ node }) => {
            statements += 1;
            return node;
          },
          transformResult: ({ result }) => Promise.resolve(result),
        });
        return work({ ...snapshot, db });
      });
    expect((await locate(versions)).files.every(({ status }) => status === 'located')).toBe(true);
    expect(statements).toBeLessThanOrEqual(4);
  });

  it('leaves out what has more extents than fit, and reads no more of it than that', async () => {
    const most = limits.maxExtentsPerLocatedFile;
    const { versions } = await pack([most, most + 1, 1], 1);
    const { files, chunks } = await locate(versions);
    expect(files.map(({ status }) => status)).toEqual(['located', 'left-out', 'located']);
    expect(chunks).toHaveLength(most + 1);
  });

  it('says that a version is gone, also one that is being taken apart, and answers for the others', async () => {
    const { versions } = await pack([2, 2, 1], 1);
    const [first, second, third] = versions as [number, number, number];
    await tracker.store.mutate(({ db }) =>
      db.deleteFrom('extents').where('version', '=', second).where('file_offset', '=', 0).execute(),
    );
    const { files } = await locate([9_999, first, second, third]);
    expect(files.map(({ status }) => status)).toEqual(['gone', 'located', 'gone', 'located']);
  });

  it('keeps what it told of from being reclaimed for want of room', async () => {
    const { versions } = await pack([1, 1], 2);
    const { store, clock, core } = tracker;
    const readers = new Readers({ clock, lastVersion: 0, holdMs: 1_000 });
    const { membership, tokens } = core;
    const tasks = new TaskBoard(clock, systemRandom);
    const locations = new Locations({ store, membership, tokens, tasks, random: systemRandom, readers });
    await locations.locateFiles([versions[0]!]);
    expect(versions.map((version) => readers.mayBeRead(version))).toEqual([true, false]);
  });
});
