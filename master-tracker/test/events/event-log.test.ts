import { HoldfastError, defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { eventKinds } from '../../src/events/event-log.js';
import { bytesInWords, durationInWords } from '../../src/events/words.js';
import { type FakeKeeper, TestTracker, id } from '../support/fixture.js';

describe('the event log', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 2 });
  });
  afterEach(() => tracker.end());

  const all = (afterEventId = 0) => tracker.core.events.after(100, afterEventId);
  /** After the start and the two keepers that joined. */
  const kinds = async (afterEventId = 3) =>
    (await all(afterEventId)).map(({ kind, subject }) => [kind, subject]);
  const texts = async (kind: string) =>
    (await all()).filter((event) => event.kind === kind).map(({ text }) => text);

  /** Has every live keeper do its tasks until there are none. */
  const work = async (alive: readonly FakeKeeper[] = tracker.keepers): Promise<void> => {
    for (let round = 0; round < 20; round += 1) {
      await tracker.core.repair.step();
      for (const keeper of alive) {
        for (const task of await keeper.heartbeat()) await keeper.complete(task);
      }
    }
  };

  it('tells of a keeper that goes and comes back, once each, also after a restart', async () => {
    const [keeper, other] = tracker.keepers.map(({ keeperId }) => keeperId);
    expect(await kinds(0)).toEqual([
      ['tracker-started', ''],
      ['keeper-joined', keeper],
      ['keeper-joined', other],
    ]);
    await tracker.pass(31_000, tracker.keepers.slice(1));
    await tracker.keepers[0]!.register();
    const told = [
      ['keeper-suspect', keeper],
      ['keeper-dead', keeper],
      ['keeper-live', keeper],
    ];
    expect(await kinds()).toEqual(told);
    await tracker.restart();
    expect(await kinds()).toEqual([...told, ['tracker-started', '']]);
    expect((await texts('tracker-started')).at(-1)).toBe('the tracker started (epoch 2)');
  });

  it('tells of an empty storage', async () => {
    const keeper = tracker.keepers[0]!;
    keeper.storageId = id();
    await keeper.register();
    expect(await kinds()).toEqual([
      ['storage-replaced', keeper.keeperId],
      ['keeper-live', keeper.keeperId],
    ]);
  });

  it('pages from either end', async () => {
    await tracker.pass(31_000, tracker.keepers.slice(1));
    const ids = (events: readonly { eventId: number }[]) => events.map(({ eventId }) => eventId);
    expect(ids(await tracker.core.events.latest(2, Infinity))).toEqual([5, 4]);
    expect(ids(await tracker.core.events.latest(2, 3))).toEqual([2, 1]);
    expect(ids(await tracker.core.events.after(2, 1))).toEqual([2, 3]);
  });

  it('tells a loss and its repair from beginning to end, over a restart of the tracker', async () => {
    await tracker.addKeeper();
    await tracker.addKeeper();
    const [gone, ...alive] = tracker.keepers;
    await tracker.put('/file', { count: 3, on: tracker.keepers.slice(0, 3) });
    await work();
    await tracker.pass(31_000, alive);
    await tracker.core.repair.step();
    await tracker.restart();
    for (const keeper of alive) {
      await keeper.register();
      await keeper.report((await tracker.reported(keeper)).map((chunkId) => chunkId));
    }
    await tracker.pass(31_000, alive);
    await work(alive);
    expect(await kinds(5)).toEqual([
      ['keeper-suspect', gone!.keeperId],
      ['keeper-dead', gone!.keeperId],
      ['repair-started', ''],
      ['tracker-started', ''],
      ...alive.map(({ keeperId }) => ['keeper-live', keeperId]),
      ['keeper-dead', gone!.keeperId],
      ['repair-finished', ''],
    ]);
    expect(await texts('repair-started')).toEqual([
      `3 chunks wait for copies: keeper ${gone!.keeperId.slice(0, 8)} at ${gone!.address} is gone`,
    ]);
    expect(await texts('repair-finished')).toEqual([
      expect.stringMatching(/^no chunk waits for a copy any more: 3 copies, 300 bytes, in \d/),
    ]);
  });

  it('is quiet about uploads that are completed a moment later, and not about those that wait', async () => {
    const [first] = tracker.keepers;
    const policy = { ...defaultPolicy, pieces: 2, minWrite: 1 };
    await tracker.put('/a', { on: [first!], policy });
    await work();
    expect(await kinds()).toEqual([]);
    await tracker.put('/b', { on: [first!], policy });
    await tracker.core.repair.step();
    await tracker.pass(60_000);
    await tracker.core.repair.step();
    await work();
    expect((await kinds()).map(([kind]) => kind)).toEqual(['repair-started', 'repair-finished']);
    expect(await texts('repair-started')).toEqual([
      '1 chunk waits for copies: it was written with fewer copies than its policy asks for',
    ]);
  });

  it('tells once of all chunks that nobody has any more, and of their return', async () => {
    const policy = { ...defaultPolicy, pieces: 2, minWrite: 1 };
    const [first, second] = tracker.keepers;
    const { chunkIds } = await tracker.put('/file', { count: 40, policy });
    await tracker.pass(31_000, [second!]);
    expect(await texts('chunk-lost')).toEqual([]);
    await tracker.pass(31_000, []);
    expect(await texts('chunk-lost')).toEqual([
      expect.stringMatching(/^40 chunks that only this keeper had .* cannot be read now$/),
    ]);
    await first!.register();
    await second!.register();
    expect(await texts('chunk-found')).toEqual([expect.stringMatching(/^40 chunks .* can be read again/)]);
    // The report of a keeper that was wiped by hand: one event for all, and none is readable without the other one.
    await tracker.pass(31_000, [first!]);
    first!.incarnation += 1;
    await first!.register();
    await first!.report(chunkIds.slice(0, 10));
    expect((await texts('piece-bad')).at(-1)).toMatch(/^30 pieces are gone from the keeper/);
    expect((await texts('chunk-lost')).at(-1)).toMatch(/^30 chunks/);
  });

  it('tells of bad pieces, at most twice a minute for a keeper', async () => {
    const [keeper] = tracker.keepers;
    const { chunkIds } = await tracker.put('/file', { count: 4, policy: { ...defaultPolicy, pieces: 2 } });
    const bad = new HoldfastError('CHECKSUM_MISMATCH', 'block 0');
    for (const chunkId of chunkIds) {
      const readToken = tracker.core.tokens.read(chunkId);
      await tracker.core.locations.reportBadPiece(chunkId, keeper!.keeperId, readToken);
    }
    for (const task of await keeper!.heartbeat()) await keeper!.complete(task, bad);
    expect(await texts('piece-bad')).toEqual([
      `the keeper found its piece of chunk ${chunkIds[0]} bad or gone (block 0); it does not count and is copied anew`,
    ]);
    await tracker.pass(61_000);
    expect((await texts('piece-bad')).slice(1)).toEqual([
      'the keeper found 3 more pieces bad or gone; they do not count and are copied anew',
    ]);
    await tracker.pass(121_000);
    expect(await texts('piece-bad')).toHaveLength(2);
  });

  it('tells of metadata that went backwards', async () => {
    const { clusterId, instanceId } = tracker.core.identity;
    await tracker.keepers[0]!.register(clusterId, { clusterId, instanceId, epoch: 9, transactionId: 9_000 });
    expect(await kinds()).toEqual([['metadata-regressed', tracker.keepers[0]!.keeperId]]);
  });

  it("has every kind in the operators' page, and nothing else", async () => {
    const page = await readFile(new URL('../../../docs/operations/events.md', import.meta.url), 'utf8');
    const documented = [...page.matchAll(/^\| `([a-z-]+)` /gm)].map(([, kind]) => kind);
    expect(documented.sort()).toEqual([...eventKinds].sort());
  });
});

describe('amounts in words', () => {
  it.each<[number, string]>([
    [0, '0 bytes'],
    [1_023, '1023 bytes'],
    [1_024, '1.0 KiB'],
    [5 * 1024 ** 3, '5.0 GiB'],
  ])('%d bytes', (bytes, words) => {
    expect(bytesInWords(bytes)).toBe(words);
  });

  it.each<[number, string]>([
    [-5, '0.0 s'],
    [440, '0.4 s'],
    [59_400, '59 s'],
    [185_000, '3 min 5 s'],
    [7_800_000, '2 h 10 min'],
  ])('%d ms', (durationMs, words) => {
    expect(durationInWords(durationMs)).toBe(words);
  });
});
