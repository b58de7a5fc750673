import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TrashPosition } from '../../src/trash/listing.js';
import { TestTracker, failure, id, names } from '../support/fixture.js';

const MiB = 1024 ** 2;
const minuteMs = 60_000;
const retentionMs = 120 * minuteMs;

describe('the trash', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({
      keepers: 3,
      settings: { reclaimGraceMs: minuteMs, trashRetentionMs: retentionMs },
    });
  });
  afterEach(() => tracker.end());

  const remove = (path: string, recursive = false) =>
    tracker.core.namespace.deleteEntry(names(path), recursive, undefined, id());
  const move = (from: string, to: string) =>
    tracker.core.namespace.moveEntry(names(from), names(to), undefined, id());
  const restore = (
    path: string,
    options: { version?: number; to?: string; expected?: number; requestId?: string } = {},
  ) =>
    tracker.core.trash.restore({
      names: names(path),
      version: options.version,
      destination: names(options.to ?? path),
      expectedVersion: options.expected ?? 0,
      requestId: options.requestId ?? id(),
    });
  const empty = (path = '/', requestId = id()) => tracker.core.trash.empty(names(path), requestId);
  const list = async (path = '/', pageSize = 1_000) => {
    const found: { path: string; version: number; replaced: boolean }[] = [];
    let from: TrashPosition | undefined;
    do {
      const page = await tracker.core.trash.list(names(path), pageSize, from);
      expect(page.versions.length).toBeLessThanOrEqual(pageSize);
      found.push(...page.versions);
      from = page.next;
    } while (from);
    return found;
  };
  const paths = async (path?: string, pageSize?: number) =>
    (await list(path, pageSize)).map((found) => found.path);
  const chunksOf = async (path: string): Promise<string[]> => {
    const target = { names: names(path) };
    const located = await tracker.core.locations.locate({ target, offset: 0, lengthBytes: 0, pageSize: 10 });
    return located.extents.map((extent) => extent.chunkId);
  };
  /** In steps of a minute, as much as counts of one: no keeper is heard meanwhile. */
  const serve = async (durationMs: number): Promise<void> => {
    for (let passedMs = 0; passedMs < durationMs; passedMs += minuteMs) {
      tracker.clock.advance(Math.min(minuteMs, durationMs - passedMs));
      await tracker.core.reclaim.step();
    }
  };

  /** Until every keeper was heard of, nothing is given up. */
  const restart = async (): Promise<void> => {
    await tracker.restart();
    for (const keeper of tracker.keepers) await keeper.register();
  };

  it('brings a deleted file back with its bytes, its attributes and its parents', async () => {
    const { chunkIds, version } = await tracker.put('/a/b/file', { count: 2 });
    await remove('/a', true);
    expect(tracker.store.counters).toMatchObject({ files: 0, directories: 0, logical_bytes: 0, chunks: 2 });
    const entry = await restore('/a/b/file');
    expect(entry).toMatchObject({ path: '/a/b/file', type: 'file', sizeBytes: 200, policy: { pieces: 3 } });
    expect(entry.version).toBeGreaterThan(version);
    expect(await chunksOf('/a/b/file')).toEqual(chunkIds);
    expect(tracker.store.counters).toMatchObject({ files: 1, directories: 2, logical_bytes: 200, chunks: 2 });
    expect(tracker.core.trash.summary).toEqual({ versions: 0, bytes: 0 });
    await serve(retentionMs + 5 * minuteMs);
    for (const chunkId of chunkIds) expect(await tracker.chunkState(chunkId)).toBe('live');
    expect(tracker.store.counters).toMatchObject({ chunks: 2, retired_bytes: 0 });
  });

  it('knows what was replaced from what was deleted, and keeps nothing of what was moved', async () => {
    const first = await tracker.put('/file');
    const second = await tracker.put('/file');
    await tracker.put('/other');
    await move('/file', '/moved');
    await move('/moved', '/other');
    await remove('/other');
    const other = second.version + 1;
    expect((await list()).map(({ path, version, replaced }) => [path, version, replaced])).toEqual([
      ['/file', first.version, true],
      ['/other', second.version, false],
      ['/other', other, true],
    ]);
    expect(tracker.core.trash.summary).toEqual({ versions: 3, bytes: 300 });
  });

  it('restores the one that left last, or the one that is asked for', async () => {
    const old = await tracker.put('/file');
    const young = await tracker.put('/other');
    await remove('/other');
    // The lower number leaves later.
    await move('/file', '/other');
    await remove('/other');
    await failure('NOT_FOUND', restore('/file'));
    await failure('NOT_FOUND', restore('/other', { version: 99 }));
    await restore('/other', { version: young.version });
    expect(await chunksOf('/other')).toEqual(young.chunkIds);
    await failure('ALREADY_EXISTS', restore('/other'));
    await restore('/other', { to: '/new/place' });
    expect(await chunksOf('/new/place')).toEqual(old.chunkIds);
    await failure('NOT_FOUND', restore('/other'));
  });

  it('replaces only the version that is expected, which goes to the trash', async () => {
    const old = await tracker.put('/file');
    const current = await tracker.put('/file');
    await failure('ALREADY_EXISTS', restore('/file'));
    await failure('VERSION_CONFLICT', restore('/file', { expected: old.version }));
    await failure('VERSION_CONFLICT', restore('/file', { expected: current.version, to: '/nothing' }));
    const entry = await restore('/file', { expected: current.version });
    expect(entry.version).toBeGreaterThan(current.version);
    expect(await chunksOf('/file')).toEqual(old.chunkIds);
    expect((await list()).map(({ version }) => version)).toEqual([current.version]);
    // A late order against the version that was restored misses what is there now.
    const late = tracker.core.namespace.deleteEntry(['file'], false, old.version, id());
    await failure('VERSION_CONFLICT', late);
    expect(tracker.store.counters).toMatchObject({ files: 1, logical_bytes: 100 });
  });

  it('refuses a place that cannot be, and changes nothing', async () => {
    await tracker.put('/file');
    await tracker.put('/there/x');
    await remove('/file');
    await failure('IS_A_DIRECTORY', restore('/file', { to: '/' }));
    await failure('ALREADY_EXISTS', restore('/file', { to: '/there' }));
    await failure('NOT_A_DIRECTORY', restore('/file', { to: '/there/x/y' }));
    expect(tracker.store.counters).toMatchObject({ files: 1, directories: 1, trashed_versions: 1 });
  });

  it('restores once for a request_id, also after a restart', async () => {
    await tracker.put('/file');
    await remove('/file');
    const requestId = id();
    const entry = await restore('/file', { requestId });
    await remove('/file');
    await tracker.restart();
    expect(await restore('/file', { requestId })).toEqual(entry);
    expect(await paths()).toEqual(['/file']);
    await failure('REQUEST_ID_REUSED', restore('/file', { requestId, to: '/else' }));
  });

  it('compares paths by components and byte by byte, in pages of any size', async () => {
    const given = [
      '/a',
      '/a b',
      '/a-b',
      '/a/x',
      '/a/x',
      '/a/x/deep',
      '/a0',
      '/ab',
      '/a%/f',
      '/a_/f',
      '/a\n/f',
      '/é',
    ];
    // A file and a directory of one name, one after the other.
    for (const path of given) {
      await tracker.put(path);
      await remove(path);
      for (const parent of ['/a/x', '/a']) await remove(parent, true).catch(() => undefined);
    }
    const inByteOrder = [...given].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const size of [1, 2, 3, 100]) {
      expect(await paths('/', size)).toEqual(inByteOrder);
      expect(await paths('/a', size)).toEqual(['/a', '/a/x', '/a/x', '/a/x/deep']);
      expect(await paths('/a/x', size)).toEqual(['/a/x', '/a/x', '/a/x/deep']);
      expect(await paths('/a%', size)).toEqual(['/a%/f']);
      expect(await paths('/a_', size)).toEqual(['/a_/f']);
      expect(await paths('/nothing', size)).toEqual([]);
    }
    const [latest, before] = await list('/a/x');
    expect(latest!.version).toBeGreaterThan(before!.version);
    expect(await empty('/a')).toEqual({ versions: 4, bytes: 400 });
    expect(await paths()).toEqual(inByteOrder.filter((path) => path !== '/a' && !path.startsWith('/a/')));
  });

  it('has all of a deleted tree by its paths as they were, at once and after a restart', async () => {
    const files = Array.from({ length: 30 }, (_, index) => `/top/d${index % 5}/e/f${index}`);
    for (const path of files) await tracker.put(path);
    await move('/top/d0', '/top/moved');
    await remove('/top', true);
    await tracker.restart();
    const expected = files.map((path) => path.replace('/top/d0/', '/top/moved/')).sort();
    expect(await paths('/top/moved/e')).toEqual(expected.filter((path) => path.startsWith('/top/moved/e/')));
    expect(await paths()).toEqual(expected);
    for (const path of expected) await restore(path);
    expect(tracker.store.counters).toMatchObject({ files: 30, directories: 11, logical_bytes: 3_000 });
  });

  it('takes a version in a tree for what left before one that was deleted after the tree', async () => {
    const inTree = await tracker.put('/tree/file');
    await remove('/tree', true);
    const later = await tracker.put('/tree/file');
    await remove('/tree/file');
    expect((await list()).map(({ version }) => version)).toEqual([later.version, inTree.version]);
    await restore('/tree/file');
    expect(await chunksOf('/tree/file')).toEqual(later.chunkIds);
  });

  describe('ends', () => {
    it('after its time, and not before; then readers have their grace', async () => {
      const { chunkIds, version } = await tracker.put('/file');
      await remove('/file');
      await serve(retentionMs - minuteMs);
      expect(await paths()).toEqual(['/file']);
      await serve(2 * minuteMs);
      expect(await paths()).toEqual([]);
      await failure('NOT_FOUND', restore('/file'));
      expect(await tracker.chunkState(chunkIds[0]!)).toBe('live');
      await tracker.core.locations.locate({ target: { version }, offset: 0, lengthBytes: 0, pageSize: 1 });
      await serve(3 * minuteMs);
      expect(await tracker.chunkState(chunkIds[0]!)).not.toBe('live');
      expect(tracker.store.counters).toMatchObject({ trashed_bytes: 0, retired_bytes: 0, chunks: 0 });
    });

    it('neither sooner nor much later for restarts', async () => {
      await tracker.put('/file');
      await remove('/file');
      for (let start = 0; start < 23; start += 1) {
        await serve(5 * minuteMs);
        await restart();
      }
      expect(await paths()).toEqual(['/file']);
      // Each restart may have lost a minute.
      await serve(4 * minuteMs);
      expect(await paths()).toEqual(['/file']);
      await serve(25 * minuteMs);
      expect(await paths()).toEqual([]);
    });

    it('in time also where nothing was in the trash for long before', async () => {
      await serve(retentionMs);
      await tracker.pass(1_000);
      await tracker.put('/file');
      await remove('/file');
      await restart();
      await serve(retentionMs + 2 * minuteMs);
      expect(await paths()).toEqual([]);
    });

    it('not because the tracker stood still for days', async () => {
      await tracker.put('/file');
      await remove('/file');
      tracker.clock.advance(100 * retentionMs);
      await tracker.core.reclaim.step();
      expect(await paths()).toEqual(['/file']);
    });

    it('when it is emptied, at once, also for a tree that was just deleted', async () => {
      const kept = await tracker.put('/kept');
      for (let index = 0; index < 20; index += 1) await tracker.put(`/tree/d${index % 3}/f${index}`);
      await remove('/tree', true);
      await remove('/kept');
      const requestId = id();
      expect(await empty('/tree', requestId)).toEqual({ versions: 20, bytes: 2_000 });
      await failure('NOT_FOUND', restore('/tree/d0/f0'));
      expect(await paths()).toEqual(['/kept']);
      await tracker.put('/tree/later');
      await remove('/tree/later');
      // Asked again: the same answer, and nothing that came later.
      expect(await empty('/tree', requestId)).toEqual({ versions: 20, bytes: 2_000 });
      expect(await paths()).toEqual(['/kept', '/tree/later']);
      await tracker.pass(70_000);
      expect(await tracker.chunkState(kept.chunkIds[0]!)).toBe('live');
      expect(tracker.store.counters).toMatchObject({ chunks: 2, retired_bytes: 0 });
    });

    it('goes on with an emptying that was cut off', async () => {
      for (let index = 0; index < 3; index += 1) {
        await tracker.put(`/f${index}`);
        await remove(`/f${index}`);
      }
      const requestId = id();
      const { store } = tracker;
      // The mark is made, and the first step after it fails.
      const mutate = store.mutate.bind(store);
      let calls = 0;
      store.mutate = (effect) => ((calls += 1) === 2 ? Promise.reject(new Error('cut off')) : mutate(effect));
      await expect(empty('/', requestId)).rejects.toThrow('cut off');
      store.mutate = mutate;
      expect(await paths()).toHaveLength(3);
      expect(await empty('/', requestId)).toEqual({ versions: 3, bytes: 300 });
      expect(await paths()).toEqual([]);
    });

    it('before its time where keepers are short of room, oldest first, and says so', async () => {
      const files = [];
      for (let index = 0; index < 4; index += 1) {
        files.push(await tracker.put(`/f${index}`));
        await remove(`/f${index}`);
      }
      await tracker.pass(1_000);
      expect(await paths()).toHaveLength(4);
      for (const keeper of tracker.keepers) keeper.freeBytes = 0;
      await tracker.pass(1_000);
      expect(await paths()).toEqual([]);
      const [event] = await tracker.core.events.latest(1, Infinity);
      expect(event).toMatchObject({
        kind: 'trash-shortened',
        text: expect.stringMatching(/: 4 versions .*the oldest that nobody reads first/),
      });
    });

    const locate = (version: number) =>
      tracker.core.locations.locate({ target: { version }, offset: 0, lengthBytes: 0, pageSize: 10 });

    it('before its time also while what was given up first is being read and keeps its room', async () => {
      const setFree = async (freeBytes: number): Promise<void> => {
        for (const keeper of tracker.keepers) keeper.freeBytes = freeBytes;
        await tracker.pass(10_000);
      };
      // More than keepers without room lack.
      const read = await tracker.put('/read', { count: 250, lengthBytes: MiB });
      await locate(read.version);
      await remove('/read');
      await setFree(0);
      expect(await paths()).toEqual([]);
      await setFree(1_000 * MiB);
      const unread = await tracker.put('/unread');
      await remove('/unread');
      await setFree(0);
      expect(await paths()).toEqual([]);
      expect(await tracker.chunkState(read.chunkIds[0]!)).toBe('live');
      expect(await tracker.chunkState(unread.chunkIds[0]!)).toBe('garbage');
    });

    it('at once where room is short, but for those that somebody may be reading', async () => {
      const before = await tracker.put('/before');
      await tracker.restart();
      for (const keeper of tracker.keepers) await keeper.register();
      const [read, unread] = [await tracker.put('/read'), await tracker.put('/unread')];
      await locate(read.version);
      const stateOf = ({ chunkIds }: typeof read) => tracker.chunkState(chunkIds[0]!);
      await Promise.all(['/before', '/read', '/unread'].map((path) => remove(path)));
      await empty('/');
      await tracker.pass(5_000);
      expect(await stateOf(unread)).toBe('live');
      for (const keeper of tracker.keepers) keeper.freeBytes = 0;
      await tracker.pass(3_000);
      // What was read before the tracker's start is not known.
      expect(await Promise.all([before, read, unread].map(stateOf))).toEqual(['live', 'live', 'garbage']);
      await tracker.pass(70_000);
      expect(tracker.store.counters).toMatchObject({ chunks: 0, retired_bytes: 0 });
    });

    describe('before its time where room is short, also behind more versions that are read than a step looks at', () => {
      const removeUnread = async (): Promise<string> => {
        const { chunkIds } = await tracker.put('/unread');
        await remove('/unread');
        return chunkIds[0]!;
      };
      const removeManyRead = async (): Promise<void> => {
        const put = async (_: unknown, index: number) =>
          locate((await tracker.put(`/read/f${index}`)).version);
        await Promise.all(Array.from({ length: 520 }, put));
        await remove('/read', true);
      };
      /** Of more bytes than keepers without room lack. */
      const giveUpLargeRead = async (): Promise<void> => {
        await locate((await tracker.put('/large', { count: 250, lengthBytes: MiB })).version);
        await remove('/large');
        await empty('/large');
      };
      const fill = (): void => {
        for (const keeper of tracker.keepers) keeper.freeBytes = 0;
      };

      it('where they are in the trash', async () => {
        await giveUpLargeRead();
        await removeManyRead();
        const chunkId = await removeUnread();
        fill();
        await tracker.pass(20_000);
        expect(await tracker.chunkState(chunkId)).toBe('garbage');
        expect(await paths()).toHaveLength(520);
      });

      it('where they were given up', async () => {
        await removeManyRead();
        const chunkId = await removeUnread();
        await empty('/');
        await tracker.pass(5_000);
        expect(await tracker.chunkState(chunkId)).toBe('live');
        fill();
        await tracker.pass(5_000);
        expect(await tracker.chunkState(chunkId)).toBe('garbage');
        expect(tracker.store.counters).toMatchObject({ chunks: 520, retired_bytes: 52_000 });
      });

      it('where what they have is not on its way', async () => {
        await removeManyRead();
        await empty('/');
        await giveUpLargeRead();
        const chunkId = await removeUnread();
        fill();
        await tracker.pass(20_000);
        expect(await tracker.chunkState(chunkId)).toBe('garbage');
      });
    });

    it('says that room is on its way until it is there', async () => {
      await tracker.put('/file');
      await remove('/file');
      for (const keeper of tracker.keepers) keeper.freeBytes = 0;
      await tracker.pass(100);
      const refusal = await failure('OUT_OF_SPACE', tracker.put('/more'));
      expect(refusal).toMatchObject({ retryable: true, remedy: expect.stringMatching(/on its way/) });
      await tracker.pass(70_000);
      for (const keeper of tracker.keepers) {
        for (const task of await keeper.heartbeat()) await keeper.complete(task);
      }
      await tracker.pass(5_000);
      expect(await failure('OUT_OF_SPACE', tracker.put('/more'))).toMatchObject({ retryable: false });
    });

    it('with the retention: none means none', async () => {
      await tracker.put('/file');
      await remove('/file');
      await tracker.put('/tree/file');
      await remove('/tree', true);
      Object.assign(tracker.settings, { trashRetentionMs: 0 });
      await tracker.restart();
      for (const keeper of tracker.keepers) await keeper.register();
      await tracker.put('/late');
      await remove('/late');
      await tracker.core.reclaim.step();
      await tracker.core.reclaim.step();
      expect(await paths()).toEqual([]);
      expect(tracker.core.trash.summary).toEqual({ versions: 0, bytes: 0 });
      await tracker.pass(70_000);
      expect(tracker.store.counters).toMatchObject({ chunks: 0, retired_bytes: 0 });
    });
  });

  it('has nothing of what was deleted before there was a trash', async () => {
    const { chunkIds } = await tracker.put('/tree/file');
    await remove('/tree', true);
    await tracker.store.mutate(async ({ db }) => {
      await db.deleteFrom('unlinked').execute();
    });
    await serve(5 * minuteMs);
    expect(await paths()).toEqual([]);
    expect(await tracker.chunkState(chunkIds[0]!)).not.toBe('live');
    expect(tracker.store.counters).toMatchObject({ trashed_versions: 0, retired_bytes: 0, chunks: 0 });
  });

  it('is only looked at while the metadata is behind', async () => {
    await tracker.put('/file');
    await remove('/file');
    await tracker.put('/tree/file');
    await remove('/tree', true);
    const { clusterId, epoch, instanceId } = tracker.core.identity;
    const witnessed = { clusterId, epoch, instanceId, transactionId: 1e6 };
    await tracker.keepers[0]!.register(clusterId, witnessed);
    await failure('METADATA_REGRESSED', restore('/file'));
    await failure('METADATA_REGRESSED', empty());
    await serve(2 * retentionMs);
    expect(await paths()).toEqual(['/file']);
  });
});
