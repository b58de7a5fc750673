/**
 * Whatever is made, uploaded, copied, moved, deleted and restored, in whatever order, with restarts in between: who
 * applies the changes to what was listed before has what is listed after, from whichever cursor; and who watches a part
 * of it is told whatever changes there.
 */
import { type ErrorCode, hasCode } from '@holdfast/shared';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Change } from '../../src/changes/change-log.js';
import { TestTracker, fileOf, id, names, sealedOf } from '../support/fixture.js';
import type { FileVersion } from '../../src/uploads/upload.js';
import { Watcher } from '../support/watcher.js';
import { seed, seededRandom } from '../placement/seeded.js';

/** What is at each path: the version, 0 for a directory. */
type Tree = ReadonlyMap<string, number>;

const isWithin = (path: string, top: string): boolean =>
  path === top || path.startsWith(top === '/' ? '/' : `${top}/`);

/** As the contract says that a change is to be read. */
function apply(tree: Tree, { kind, path, oldPath, entry }: Change): Tree {
  const next = new Map(tree);
  for (const [each, version] of tree) {
    if (kind === 'removed' ? isWithin(each, path) : oldPath !== undefined && isWithin(each, oldPath)) {
      next.delete(each);
      if (oldPath !== undefined) next.set(`${path}${each.slice(oldPath.length)}`, version);
    }
  }
  if (kind === 'created' || kind === 'replaced') {
    expect(tree.has(path)).toBe(kind === 'replaced');
    next.set(path, entry?.version ?? -1);
  } else expect(tree.has(oldPath ?? path)).toBe(true);
  return next;
}

/** What of a tree is seen from a path. */
function view(tree: Tree, top: string, shallow: boolean): string {
  const isSeen = (path: string): boolean =>
    isWithin(path, top) && !(shallow && path.slice(top.length + 1).includes('/'));
  return JSON.stringify([...tree].filter(([path]) => isSeen(path)).sort());
}

describe(`watches agree with listings (HOLDFAST_SEED=${seed})`, () => {
  let tracker: TestTracker;
  afterEach(() => tracker.end());

  it.each([0, 1, 2, 3])('run %d', async (run) => {
    const random = seededRandom(seed + run);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    tracker = await TestTracker.start({ keepers: 3 });
    const directories = ['/a', '/a b', '/a/b', '/a/b/c', '/d%'];
    const path = (): string => `${pick(['', ...directories])}/${pick(['a', 'b', 'f', 'g'])}`;
    const refusals: readonly ErrorCode[] = [
      ...(['NOT_FOUND', 'NOT_A_DIRECTORY', 'IS_A_DIRECTORY', 'ALREADY_EXISTS'] as const),
      ...(['NOT_EMPTY', 'INVALID_ARGUMENT', 'VERSION_CONFLICT'] as const),
    ];
    const commit = async (files: readonly Partial<FileVersion>[], paths: readonly string[]) => {
      const { session, chunkIds } = await tracker.begin();
      const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers));
      const versions = paths.map((each, index) => fileOf(each, chunkIds, files[index]));
      await tracker.core.uploads.commit(session.uploadId, id(), versions, sealed, { skipRefused: true });
    };
    const pack = (): Promise<void> => {
      const paths = [...new Set([path(), path(), path(), pick(directories)])];
      return commit(
        paths.map(() => ({ createParents: random() < 0.7, ...(random() < 0.5 && { expectedVersion: 0 }) })),
        paths,
      );
    };
    const append = async (): Promise<void> => {
      const to = path();
      const { version } = await tracker.core.namespace.getEntry(names(to));
      await commit([{ appendToVersion: version || 1 }], [to]);
    };
    const actions: readonly (() => Promise<unknown>)[] = [
      pack,
      append,
      () => tracker.put(path()),
      () => tracker.put(path()),
      () => tracker.core.namespace.createDirectory(names(path()), random() < 0.7, id()),
      () => tracker.core.namespace.moveEntry(names(path()), names(path()), undefined, id()),
      () => tracker.core.namespace.moveEntry(names(path()), names(path()), undefined, id()),
      () => tracker.core.namespace.copyEntry(names(path()), names(path()), undefined, id()),
      () => tracker.core.namespace.deleteEntry(names(path()), random() < 0.7, undefined, id()),
      () =>
        tracker.core.trash.restore({
          ...{ names: names(path()), destination: names(path()), version: undefined },
          ...{ expectedVersion: 0, requestId: id() },
        }),
      () => tracker.core.reclaim.step(),
    ];
    const listing = async (): Promise<Tree> => {
      const found = new Map<string, number>();
      const visit = async (top: string): Promise<void> => {
        const { entries } = await tracker.core.namespace.listEntries(names(top), 1_000, '');
        for (const entry of entries) {
          found.set(entry.path, entry.version);
          if (entry.type === 'directory') await visit(entry.path);
        }
      };
      await visit('/');
      return found;
    };
    /** Where watches begin later, and what was listed there. */
    const places: { cursor: string; tree: Tree }[] = [];
    for (let step = 0; step < 160; step += 1) {
      if (step % 20 === 0) {
        const here = await new Watcher(tracker).begun();
        places.push({ cursor: here.cursor, tree: await listing() });
        await here.leave();
      }
      if (step % 50 === 49) {
        await tracker.restart();
        for (const keeper of tracker.keepers) await keeper.register();
      }
      // Several at once share a sync; some fail in the middle of it.
      const asked = Array.from({ length: 1 + Math.floor(random() * 4) }, async () => pick(actions)());
      for (const outcome of await Promise.allSettled(asked)) {
        if (outcome.status === 'rejected' && !hasCode(outcome.reason, ...refusals)) throw outcome.reason;
      }
    }
    const end = await listing();
    await tracker.core.namespace.createDirectory(['end'], false, id());
    for (const { cursor, tree } of places) {
      const all = await new Watcher(tracker, { cursor }).mark('created /end');
      const parts = [
        ...['/a', '/a/b', '/d%', '/a b/f'].map((top) => ({ top, shallow: false })),
        ...['/', '/a'].map((top) => ({ top, shallow: true })),
      ];
      const told = await Promise.all(
        parts.map(async ({ top, shallow }) => {
          const watcher = await new Watcher(tracker, { cursor, path: top, shallow }).begun();
          // It has told all when its heartbeat has come so far.
          const last = all.told.at(-1)!.position.changeId;
          while (watcher.told.at(-1)!.position.changeId < last) {
            tracker.clock.advance(tracker.settings.watchHeartbeatMs);
            await tracker.clock.sleep(0);
          }
          await watcher.leave();
          const ids = watcher.told.flatMap(({ change }) => change?.position.changeId ?? []);
          expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
          return new Set(ids);
        }),
      );
      let now = tree;
      for (const { change } of all.told) {
        if (!change || change.path === '/end') continue;
        const before = now;
        now = apply(before, change);
        for (const [index, { top, shallow }] of parts.entries()) {
          const isTold = told[index]!.has(change.position.changeId);
          const isSeen = view(before, top, shallow) !== view(now, top, shallow);
          if (isSeen) expect(isTold ? [] : [top, shallow, change]).toEqual([]);
          const places = [change.path, change.oldPath ?? change.path];
          if (!places.some((place) => isWithin(place, top) || isWithin(top, place)))
            expect(isTold).toBe(false);
        }
      }
      expect([...now].sort()).toEqual([...end].sort());
      await all.leave();
    }
  });
});
