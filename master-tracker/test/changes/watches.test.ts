/** What watches tell: every change once, in order, from any cursor, and never more than they may hold. */
import type { HoldfastError } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readCursor } from '../../src/changes/position.js';
import { maxWatches } from '../../src/changes/watches.js';
import { TestTracker, failure, fileOf, id, names, sealedOf, temporaryDirectory } from '../support/fixture.js';
import { Watcher } from '../support/watcher.js';

let tracker: TestTracker;
afterEach(() => tracker.end());

const make = (path: string, parents = true) =>
  tracker.core.namespace.createDirectory(names(path), parents, id());
/** In this order, and sharing syncs. */
const makeMany = (count: number, prefix: string) =>
  Promise.all(Array.from({ length: count }, (_, n) => make(`${prefix}${n}`)));
const move = (from: string, to: string) =>
  tracker.core.namespace.moveEntry(names(from), names(to), undefined, id());
const copy = (from: string, to: string) =>
  tracker.core.namespace.copyEntry(names(from), names(to), undefined, id());
const remove = (path: string) => tracker.core.namespace.deleteEntry(names(path), true, undefined, id());
const restore = (path: string) =>
  tracker.core.trash.restore({
    ...{ names: names(path), version: undefined, destination: names(path) },
    ...{ expectedVersion: 0, requestId: id() },
  });

describe('a watch', () => {
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });

  it('tells each change as one, with the entry that it made', async () => {
    const all = await new Watcher(tracker).begun();
    expect(all.told).toEqual([
      { position: { changeId: 0, instance: tracker.core.identity.clusterId.slice(0, 8) } },
    ]);
    const first = await tracker.put('/a/b/f');
    const second = await tracker.put('/a/b/f');
    await copy('/a/b/f', '/a/g');
    await copy('/a/b/f', '/a/g');
    await make('/c');
    await make('/c');
    await move('/a', '/c/a');
    await move('/c/a/g', '/c/a/g');
    await move('/c/a/g', '/c/a/b/f');
    await remove('/c');
    await restore('/c/a/b/f');
    await failure('NOT_EMPTY', tracker.core.namespace.deleteEntry(['c'], false, undefined, id()));
    await remove('/c/a/b/f');
    await make('/end');
    await all.mark('created /end');
    expect(all.changes).toEqual([
      ...['created /a', 'created /a/b', 'created /a/b/f', 'replaced /a/b/f'],
      ...['created /a/g', 'replaced /a/g', 'created /c', 'moved /a /c/a'],
      ...['moved /c/a/g /c/a/b/f', 'removed /c'],
      ...['created /c', 'created /c/a', 'created /c/a/b', 'created /c/a/b/f', 'removed /c/a/b/f'],
      'created /end',
    ]);
    const changes = all.told.flatMap(({ change }) => change ?? []);
    expect(changes.map(({ position }) => position.changeId)).toEqual(changes.map((_, index) => index + 1));
    expect(changes[0]).toMatchObject({
      type: 'directory',
      entry: { path: '/a', type: 'directory', version: 0 },
    });
    expect(changes[2]?.entry).toMatchObject({ path: '/a/b/f', sizeBytes: 100, version: first.version });
    expect(changes[3]?.entry).toMatchObject({ version: second.version, policy: { pieces: 3 } });
    expect(changes[9]).toMatchObject({ type: 'directory', entry: undefined });
    expect(changes[14]).toMatchObject({ type: 'file', entry: undefined });
    // What a listing says is what was told.
    expect(changes[8]?.entry).toMatchObject({ path: '/c/a/b/f' });
    await all.leave();
  });

  it('tells a commit of many files as its files, all or none', async () => {
    const all = await new Watcher(tracker).begun();
    const { session, chunkIds } = await tracker.begin({ path: '/d' });
    const files = Array.from({ length: 1_000 }, (_, n) => fileOf(`/d/${n}`, chunkIds));
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, tracker.keepers));
    const taken = [...files, fileOf('/d/1/no', chunkIds)];
    await failure('NOT_A_DIRECTORY', tracker.core.uploads.commit(session.uploadId, id(), taken, sealed));
    await tracker.core.uploads.commit(session.uploadId, id(), files, sealed);
    await all.mark('created /d/999');
    expect(all.changes).toEqual(['created /d', ...files.map((_, n) => `created /d/${n}`)]);
    await all.leave();
  });

  it('of a path is told what is there, what comes and goes, and what becomes of the directories above', async () => {
    const deep = await new Watcher(tracker, { path: '/w/x' }).begun();
    const shallow = await new Watcher(tracker, { path: '/w/x', shallow: true }).begun();
    await tracker.put('/w/x/f');
    await tracker.put('/w/x/d/f');
    await tracker.put('/w/x-ray');
    await tracker.put('/o/in');
    await move('/w/x/f', '/o/f');
    await move('/o/in', '/w/x/d/in');
    await move('/o', '/w/x/o');
    await move('/w', '/v');
    await make('/w');
    await move('/v/x', '/w/x');
    await remove('/v');
    await remove('/w');
    await make('/w/x');
    await deep.mark('created /w/x');
    await shallow.mark('created /w/x');
    expect(deep.changes).toEqual([
      ...['created /w/x', 'created /w/x/f', 'created /w/x/d', 'created /w/x/d/f', 'moved /w/x/f /o/f'],
      ...['moved /o/in /w/x/d/in', 'moved /o /w/x/o', 'moved /w /v', 'moved /v/x /w/x', 'removed /w'],
      'created /w/x',
    ]);
    expect(shallow.changes).toEqual([
      ...['created /w/x', 'created /w/x/f', 'created /w/x/d', 'moved /w/x/f /o/f', 'moved /o /w/x/o'],
      ...['moved /w /v', 'moved /v/x /w/x', 'removed /w', 'created /w/x'],
    ]);
    await Promise.all([deep.leave(), shallow.leave()]);
  });

  it('goes on from a cursor after a restart, without a gap and with nothing twice', async () => {
    const before = await new Watcher(tracker).begun();
    await make('/1');
    await make('/2');
    await before.mark('created /2');
    const { cursor } = before;
    await make('/3');
    await tracker.restart();
    await before.leave();
    await make('/4');
    const after = await new Watcher(tracker, { cursor }).mark('created /4');
    expect(after.changes).toEqual(['created /3', 'created /4']);
    // Any message's cursor will do, also that of the beginning.
    const again = await new Watcher(tracker, { cursor: after.cursor }).begun();
    expect(again.cursor).toBe(after.cursor);
    await make('/5');
    await again.mark('created /5');
    expect(again.changes).toEqual(['created /5']);
    await Promise.all([after.leave(), again.leave()]);
  });

  it('says now and then how far it has come past what concerns others', async () => {
    const { watchHeartbeatMs } = tracker.settings;
    const watcher = await new Watcher(tracker, { path: '/mine' }).begun();
    await makeMany(450, '/others/');
    tracker.clock.advance(watchHeartbeatMs - 1);
    await tracker.clock.sleep(0);
    expect(watcher.told).toHaveLength(1);
    tracker.clock.advance(1);
    await watcher.until(({ told }) => told.length === 2);
    while (readCursor(watcher.cursor).changeId < 451) {
      tracker.clock.advance(watchHeartbeatMs);
      await tracker.clock.sleep(0);
    }
    expect(watcher.changes).toEqual([]);
    await make('/mine');
    await watcher.mark('created /mine');
    await watcher.leave();
  });

  it('that is taken slowly reads no further than a page, and tells all in order later', async () => {
    const slow = await new Watcher(tracker).begun();
    let goOn = (): void => undefined;
    slow.standStill = new Promise((resolve) => (goOn = resolve));
    await make('/0');
    await slow.mark('created /0');
    const reads = countReads();
    await makeMany(1_000, '/x');
    expect(reads()).toBe(0);
    slow.standStill = undefined;
    goOn();
    await slow.mark('created /x999');
    expect(slow.changes.slice(1)).toEqual(Array.from({ length: 1_000 }, (_, n) => `created /x${n}`));
    await slow.leave();
  });

  it('costs no read of its own when many wait at the same place', async () => {
    const watchers = await Promise.all(Array.from({ length: 50 }, () => new Watcher(tracker).begun()));
    const reads = countReads();
    await make('/a');
    await Promise.all(watchers.map((watcher) => watcher.mark('created /a')));
    expect(reads()).toBe(1);
    await Promise.all(watchers.map((watcher) => watcher.leave()));
  });

  it('is one of a bounded number, and makes room when it ends', async () => {
    const watchers = Array.from({ length: maxWatches }, () => new Watcher(tracker));
    await Promise.all(watchers.map((watcher) => watcher.begun()));
    const refused = await failure('LIMIT_EXCEEDED', new Watcher(tracker).begun());
    expect((refused as HoldfastError).retryable).toBe(true);
    await watchers[7]!.leave();
    await (await new Watcher(tracker).begun()).leave();
    tracker.core.watches.stop();
    await Promise.all(watchers.map((watcher) => watcher.ended));
  });

  it('ends when the tracker stops, also one that is not taken', async () => {
    const slow = await new Watcher(tracker).begun();
    slow.standStill = new Promise(() => undefined);
    await make('/a');
    await slow.mark('created /a');
    const idle = await new Watcher(tracker).begun();
    tracker.core.watches.stop();
    await Promise.all([slow.ended, idle.ended]);
    expect([slow.failure, idle.failure]).toMatchObject([{ code: 'UNAVAILABLE' }, { code: 'UNAVAILABLE' }]);
    await failure('UNAVAILABLE', new Watcher(tracker).begun());
  });

  it('goes on for somebody who asks for the same mutation twice', async () => {
    const watcher = await new Watcher(tracker).begun();
    const requestId = id();
    for (let times = 0; times < 2; times += 1) {
      await tracker.core.namespace.createDirectory(['once'], false, requestId);
    }
    await make('/end');
    await watcher.mark('created /end');
    expect(watcher.changes).toEqual(['created /once', 'created /end']);
    await watcher.leave();
  });

  it('refuses cursors that name what is not there, or what is another history', async () => {
    const original = await new Watcher(tracker).begun();
    const cursors = [original.cursor];
    const folder = await temporaryDirectory();
    const backup = join(folder, 'backup');
    for (const path of ['/1', '/2', '/3']) {
      await make(path);
      await original.mark(`created ${path}`);
      cursors.push(original.cursor);
      // As an operator copies it: with the log that goes with it.
      if (path === '/2') {
        for (const suffix of ['', '-wal']) {
          await copyFile(join(tracker.dir, `metadata.sqlite${suffix}`), `${backup}${suffix}`);
        }
      }
    }
    const other = await TestTracker.start({ keepers: 3 });
    await failure('CURSOR_EXPIRED', new Watcher(other, { cursor: cursors[0]! }).begun());
    await other.end();
    await original.leave();
    tracker.store.abandon();
    for (const suffix of ['', '-wal']) {
      await copyFile(`${backup}${suffix}`, join(tracker.dir, `metadata.sqlite${suffix}`));
    }
    await rm(folder, { recursive: true });
    await tracker.open();
    // It has not come so far again, and must not wait until it has;
    const ahead = await failure('CURSOR_EXPIRED', new Watcher(tracker, { cursor: cursors[3]! }).begun());
    expect(ahead.message).toMatch(/does not have/);
    await tracker.core.namespace.createDirectory(['other-3'], false, id());
    await tracker.core.namespace.createDirectory(['other-4'], false, id());
    // when it has, the number is that of another change.
    const astray = await failure('CURSOR_EXPIRED', new Watcher(tracker, { cursor: cursors[3]! }).begun());
    expect(astray.message).toMatch(/another history/);
    const shared = await new Watcher(tracker, { cursor: cursors[1]! }).mark('created /other-4');
    expect(shared.changes).toEqual(['created /2', 'created /other-3', 'created /other-4']);
    await shared.leave();
  });
});

it('the log goes back a bounded number of changes; who is further behind is told to list anew', async () => {
  tracker = await TestTracker.start({ keepers: 3, settings: { retainedChanges: 100 } });
  const kept = async (): Promise<number> => {
    const rows = tracker.store.read(({ db }) => db.selectFrom('changes').select('change_id').execute());
    return (await rows).length;
  };
  const slow = await new Watcher(tracker).begun();
  const { cursor: beginning } = slow;
  let goOn = (): void => undefined;
  slow.standStill = new Promise((resolve) => (goOn = resolve));
  await makeMany(1_300, '/');
  await slow.mark('created /0');
  const middle = await new Watcher(tracker, { cursor: beginning }).mark('created /1299');
  const cursorAt = (changeId: number) =>
    Buffer.from(`${tracker.core.identity.instanceId.slice(0, 8)}${changeId}`).toString('base64url');
  // Not one by one.
  await tracker.pass(1_000);
  expect(await kept()).toBe(800);
  await tracker.pass(5_000);
  expect(await kept()).toBe(300);
  const late = await failure('CURSOR_EXPIRED', new Watcher(tracker, { cursor: beginning }).begun());
  expect(late.message).toMatch(/not kept any more/);
  expect((late as HoldfastError).remedy).toMatch(/without a cursor/);
  await failure('CURSOR_EXPIRED', new Watcher(tracker, { cursor: cursorAt(1_000) }).begun());
  const first = await new Watcher(tracker, { cursor: cursorAt(1_001) }).mark('created /1299');
  expect(first.changes[0]).toBe('created /1001');
  slow.standStill = undefined;
  goOn();
  await slow.ended;
  expect(slow.failure).toMatchObject({ code: 'CURSOR_EXPIRED' });
  // What it held: a page, or what there was when it looked, as a slow machine commits few at a time.
  const [, last] = /^created \/(\d+)$/.exec(slow.changes.at(-1) ?? '') ?? [];
  expect(Number(last)).toBeLessThan(200);
  await Promise.all([middle.leave(), first.leave()]);
});

/** How many reads there have been since. */
function countReads(): () => number {
  const { store } = tracker;
  let reads = 0;
  const read = store.read.bind(store);
  store.read = (work) => {
    reads += 1;
    return read(work);
  };
  return () => reads;
}
