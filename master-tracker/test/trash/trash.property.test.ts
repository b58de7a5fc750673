/**
 * Whatever is uploaded, overwritten, moved, deleted, restored, emptied and waited for, in whatever order, with
 * restarts in between: a small model says what is shown and what can be restored, and the tracker agrees.
 */
import { afterEach, describe, expect, it } from '@jest/globals';
import { type ErrorCode, hasCode } from '@holdfast/shared';
import { TestTracker, id, names } from '../support/fixture.js';
import { seed, seededRandom } from '../placement/seeded.js';

const retentionMs = 100_000;
const graceMs = 10_000;

interface Content {
  readonly chunkIds: readonly string[];
  readonly version: number;
}

interface Trashed extends Content {
  readonly path: string;
  readonly replaced: boolean;
  readonly leftMs: number;
}

/** What should be. Directories exist as long as files are in them, or for ever: the tracker decides that. */
class Model {
  readonly files = new Map<string, Content>();
  /** The one that left last comes last. */
  trash: Trashed[] = [];

  leave(path: string, replaced: boolean, leftMs: number): void {
    const content = this.files.get(path)!;
    this.files.delete(path);
    this.trash.push({ ...content, path, replaced, leftMs });
  }

  below(path: string): string[] {
    return [...this.files.keys()].filter((file) => isBelow(file, path));
  }
}

const isBelow = (path: string, top: string): boolean =>
  top === '/' || path === top || path.startsWith(`${top}/`);

describe(`the trash agrees with a model (HOLDFAST_SEED=${seed})`, () => {
  let tracker: TestTracker;
  afterEach(() => tracker.end());

  it.each([0, 1, 2, 3])('run %d', async (run) => {
    const random = seededRandom(seed + run);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    tracker = await TestTracker.start({
      keepers: 3,
      settings: { trashRetentionMs: retentionMs, reclaimGraceMs: graceMs },
    });
    const model = new Model();
    let servedMs = 0;
    const dirs = ['/a', '/a b', '/a/b', '/a/b/c', '/d%'];
    const anyPath = (): string => `${pick(dirs)}/${pick(['f', 'g', 'h'])}`;
    /** What the call came to: an answer, or one of the errors that may be. */
    const attempt = async <T>(call: () => Promise<T>, ...codes: ErrorCode[]): Promise<T | undefined> => {
      try {
        return await call();
      } catch (error) {
        if (hasCode(error, ...codes)) return undefined;
        throw error;
      }
    };
    const latest = (path: string): Trashed | undefined => model.trash.findLast((row) => row.path === path);

    const actions: readonly (() => Promise<void>)[] = [
      async () => {
        const path = anyPath();
        const { chunkIds, version } = await tracker.put(path);
        if (model.files.has(path)) model.leave(path, true, servedMs);
        model.files.set(path, { chunkIds, version });
      },
      async () => {
        const [from, to] = [anyPath(), anyPath()];
        const call = () => tracker.core.namespace.moveEntry(names(from), names(to), undefined, id());
        const moved = await attempt(call, 'NOT_FOUND', 'NOT_A_DIRECTORY');
        if (!model.files.has(from)) expect(moved).toBeUndefined();
        if (!moved || from === to) return;
        if (model.files.has(to)) model.leave(to, true, servedMs);
        model.files.set(to, model.files.get(from)!);
        model.files.delete(from);
      },
      async () => {
        const path = anyPath();
        const call = () => tracker.core.namespace.deleteEntry(names(path), false, undefined, id());
        const deleted = await attempt(call, 'NOT_FOUND', 'NOT_A_DIRECTORY');
        expect(deleted).toBe(model.files.has(path) ? 1 : undefined);
        if (deleted) model.leave(path, false, servedMs);
      },
      async () => {
        const path = pick(dirs);
        const call = () => tracker.core.namespace.deleteEntry(names(path), true, undefined, id());
        if ((await attempt(call, 'NOT_FOUND')) === undefined) expect(model.below(path)).toEqual([]);
        for (const file of model.below(path)) model.leave(file, false, servedMs);
      },
      async () => {
        const row = model.trash.length > 0 && random() < 0.9 ? pick(model.trash) : undefined;
        const path = row?.path ?? anyPath();
        const to = random() < 0.5 ? path : anyPath();
        const version = row && random() < 0.5 ? row.version : undefined;
        const expected = model.files.get(to)?.version ?? 0;
        const source = version === undefined ? latest(path) : row;
        const entry = await attempt(
          () =>
            tracker.core.trash.restore({
              ...{ names: names(path), destination: names(to), requestId: id() },
              ...{ version, expectedVersion: random() < 0.8 ? expected : 0 },
            }),
          ...(['NOT_FOUND', 'ALREADY_EXISTS', 'NOT_A_DIRECTORY'] as const),
        );
        if (!source) expect(entry).toBeUndefined();
        else if (expected === 0) expect(entry).toBeDefined();
        if (!entry) return;
        for (const content of [...model.files.values(), ...model.trash]) {
          expect(entry.version).toBeGreaterThan(content.version);
        }
        model.trash = model.trash.filter((other) => other !== source);
        if (model.files.has(to)) model.leave(to, true, servedMs);
        model.files.set(to, { chunkIds: source!.chunkIds, version: entry.version });
      },
      async () => {
        const path = pick(['/', ...dirs, anyPath()]);
        if (random() < 0.6) return;
        const gone = model.trash.filter((row) => isBelow(row.path, path));
        const summary = await tracker.core.trash.empty(names(path), id());
        expect(summary).toEqual({ versions: gone.length, bytes: gone.length * 100 });
        model.trash = model.trash.filter((row) => !gone.includes(row));
      },
      async () => {
        const seconds = Math.floor(random() * 20);
        await tracker.pass(seconds * 1_000);
        servedMs += seconds * 1_000;
        model.trash = model.trash.filter((row) => servedMs - row.leftMs < retentionMs);
        await tracker.core.reclaim.step();
      },
      async () => {
        if (random() < 0.7) return;
        // Noted, so that the model need not know what a crash loses of it.
        await tracker.store.mutate(async (tx) => {
          tx.count('served_ms', servedMs - tx.count('served_ms', 0));
        });
        await tracker.restart();
        for (const keeper of tracker.keepers) await keeper.register();
      },
    ];

    for (let step = 0; step < 150; step += 1) {
      await pick([...actions, actions[0]!, actions[0]!])();
      if (step % 10 === 9) await agree(model);
    }
    await agree(model);
    // In the end everything that is not shown gives its room back.
    await tracker.pass(retentionMs + graceMs + 20_000);
    expect(tracker.core.trash.summary).toEqual({ versions: 0, bytes: 0 });
    expect(tracker.store.counters).toMatchObject({ retired_bytes: 0, chunks: model.files.size });
  });

  async function agree(model: Model): Promise<void> {
    const { core, store } = tracker;
    const { versions } = await core.trash.list([], 10_000, undefined);
    // Latest first for each path, and the paths in byte order (all are ASCII).
    const expected = model.trash
      .map((row, index) => ({ row, index }))
      .sort((a, b) => (a.row.path < b.row.path ? -1 : a.row.path > b.row.path ? 1 : b.index - a.index))
      .map(({ row: { path, version, replaced } }) => ({ path, version, replaced }));
    expect(versions.map(({ path, version, replaced }) => ({ path, version, replaced }))).toEqual(expected);
    expect(store.counters).toMatchObject({
      files: model.files.size,
      logical_bytes: model.files.size * 100,
      trashed_versions: model.trash.length,
      trashed_bytes: model.trash.length * 100,
    });
    for (const [path, { chunkIds, version }] of model.files) {
      const located = await core.locations.locate({
        target: { names: names(path) },
        ...{ offset: 0, lengthBytes: 0, pageSize: 10 },
      });
      expect({ path, version: located.version }).toEqual({ path, version });
      expect(located.extents.map((extent) => extent.chunkId)).toEqual(chunkIds);
    }
    for (const { chunkIds } of [...model.files.values(), ...model.trash]) {
      for (const chunkId of chunkIds) {
        expect(await tracker.chunkState(chunkId)).toBe('live');
        expect(Object.values(await tracker.pieces(chunkId))).toEqual(Array(3).fill('durable'));
      }
    }
  }
});
