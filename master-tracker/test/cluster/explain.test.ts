import { HoldfastError, defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { verifiedSince } from '../../src/cluster/explain.js';
import { tellChunk } from '../../src/cluster/chunk-story.js';
import { type FakeKeeper, TestTracker, failure, id, names } from '../support/fixture.js';

describe('a file explained', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  const explain = (path = '/file', pageSize = 100) =>
    tracker.core.explainer.explain(names(path), pageSize, undefined);
  const only = async () => (await explain()).chunks[0]!;
  const called = ({ keeperId, address }: FakeKeeper) => `keeper ${keeperId.slice(0, 8)} at ${address}`;

  it('says where each piece is, why, and that all is well', async () => {
    const on = tracker.keepers.slice(0, 3);
    const { chunkIds, version } = await tracker.put('/file', { count: 2, on });
    const { entry, chunks, next } = await explain();
    expect(entry).toMatchObject({ path: '/file', version, durability: { fewestPieces: 3 } });
    expect(next).toBeUndefined();
    expect(chunks.map(({ chunkId, fileOffset, lengthBytes }) => [chunkId, fileOffset, lengthBytes])).toEqual([
      [chunkIds[0], 0, 100],
      [chunkIds[1], 100, 100],
    ]);
    expect(chunks[0]).toMatchObject({
      policyPieces: 3,
      countedPieces: 3,
      text: '3 copies on keepers that are there.',
    });
    expect(chunks[0]!.pieces.map((piece) => piece.keeper.keeperId)).toEqual(on.map((k) => k.keeperId).sort());
    for (const piece of chunks[0]!.pieces) {
      expect(piece).toMatchObject({
        ...{ keeperState: 'live', state: 'durable', counted: true },
        // No keeper has read it again yet.
        ...{ verifiedSinceUnixMs: undefined, writtenAtUnixMs: tracker.clock.wallMs() },
        placedBecause: 'written by the upload',
      });
    }
  });

  it('follows a loss to its repair', async () => {
    await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    const [gone, ...alive] = tracker.keepers;
    const target = tracker.keepers[3]!;
    const why = `2 of 3 copies: ${called(gone!)} is gone.`;
    await tracker.pass(31_000, alive);
    const waiting = await only();
    expect(waiting).toMatchObject({
      countedPieces: 2,
      text: `${why} The next copy is about to be ordered.`,
    });
    expect(waiting.pieces.find((piece) => piece.keeper.keeperId === gone!.keeperId)).toMatchObject({
      ...{ keeperState: 'dead', state: 'durable', counted: false },
    });
    await tracker.core.repair.step();
    tracker.clock.advance(2_000);
    const copying = await only();
    expect(copying.text).toBe(`${why} A copy to ${called(target)} was ordered 2.0 s ago.`);
    expect(copying.pieces.at(-1)).toMatchObject({
      keeper: { keeperId: target.keeperId },
      ...{ state: 'copying', counted: false, placedBecause: `copied because ${called(gone!)} is gone` },
    });
    for (const task of await target.heartbeat()) await target.complete(task);
    const whole = await only();
    expect(whole.text).toBe('3 copies on keepers that are there.');
    expect(whole.pieces.find((piece) => piece.keeper.keeperId === target.keeperId)).toMatchObject({
      ...{ state: 'durable', counted: true, placedBecause: `copied because ${called(gone!)} is gone` },
      writtenAtUnixMs: tracker.clock.wallMs(),
    });
    await gone!.register();
    expect((await only()).text).toBe('4 copies on keepers that are there, 3 of which would do.');
  });

  it('says what it waits for: no room, the brake, a tracker that does not know yet', async () => {
    await tracker.put('/file', { on: tracker.keepers.slice(0, 2) });
    for (const keeper of tracker.keepers) keeper.freeBytes = 0;
    await tracker.pass(1_000);
    expect((await only()).text).toMatch(
      /^2 of 3 copies: it was written with fewer .* It waits, no target with room/,
    );
    for (const keeper of tracker.keepers) keeper.freeBytes = 2 ** 30;
    await tracker.pass(1_000);
    await tracker.put('/four', { policy: { ...defaultPolicy, pieces: 4 } });
    await tracker.pass(31_000, tracker.keepers.slice(0, 2));
    expect((await explain('/four')).chunks[0]!.text).toMatch(/It waits, the brake holds/);
    await tracker.restart();
    expect((await only()).text).toMatch(/The tracker has just started/);
  });

  it('says of a chunk that cannot be read who may bring it back', async () => {
    const policy = { ...defaultPolicy, pieces: 2, minWrite: 1 };
    const [first, ...others] = tracker.keepers;
    await tracker.put('/file', { on: [first!], policy });
    await tracker.pass(31_000, others);
    expect(await only()).toMatchObject({
      countedPieces: 0,
      text: `Cannot be read now, 0 of 2 copies: ${called(first!)} is gone. Keeper ${called(first!).slice(7)} had it, and it is back when that keeper is.`,
    });
    first!.storageId = id();
    await first!.register();
    expect((await only()).text).toMatch(
      /came back with an empty storage\. No keeper is known to have one\.$/,
    );
  });

  it('claims no time for a piece that a keeper only reports to have', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    const [reporter] = tracker.keepers;
    const written = async (): Promise<number | undefined> =>
      (await only()).pieces.find(({ keeper }) => keeper.keeperId === reporter!.keeperId)?.writtenAtUnixMs;
    const atUnixMs = tracker.clock.wallMs();
    tracker.clock.advance(5_000);
    // What is known stays known when the keeper starts anew; what was lost and is there again was not written now.
    for (const [had, expected] of [
      [chunkIds, atUnixMs],
      [[], undefined],
      [chunkIds, undefined],
    ] as const) {
      reporter!.incarnation += 1;
      await reporter!.register();
      await reporter!.report(had);
      expect(await written()).toBe(expected);
    }
    expect((await only()).countedPieces).toBe(3);
  });

  it('remembers that a copy was made for a bad piece', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    const [bad] = tracker.keepers;
    const readToken = tracker.core.tokens.read(chunkIds[0]!);
    await tracker.core.locations.reportBadPiece(chunkIds[0]!, bad!.keeperId, readToken);
    for (const task of await bad!.heartbeat())
      await bad!.complete(task, new HoldfastError('CHECKSUM_MISMATCH', 'x'));
    await tracker.core.repair.step();
    for (const keeper of tracker.keepers)
      for (const task of await keeper.heartbeat()) await keeper.complete(task);
    expect((await only()).pieces.map((piece) => piece.placedBecause)).toContain(
      `copied because ${called(bad!)} found its copy bad or gone`,
    );
  });

  it('comes in pages of the version that the first one found', async () => {
    const { chunkIds, version } = await tracker.put('/file', { count: 5 });
    const first = await explain('/file', 2);
    expect(first.next).toEqual({ version, fileOffset: 200 });
    await tracker.put('/file', { count: 1 });
    const second = await tracker.core.explainer.explain(names('/file'), 3, first.next);
    expect(second.entry).toBeUndefined();
    expect([...first.chunks, ...second.chunks].map(({ chunkId }) => chunkId)).toEqual(chunkIds);
    expect(second.next).toBeUndefined();
    // Taken apart meanwhile: not a page that looks like the end.
    await tracker.core.trash.empty([], id());
    while (await tracker.core.reclaim.step());
    await tracker.pass(11 * 60_000);
    await failure('NOT_FOUND', tracker.core.explainer.explain(names('/file'), 3, first.next));
  });

  it('is of files that are there', async () => {
    await tracker.put('/empty', { count: 0 });
    expect((await explain('/empty')).chunks).toEqual([]);
    await failure('IS_A_DIRECTORY', explain('/'));
    await failure('NOT_FOUND', explain('/nope'));
    await failure(
      'NOT_FOUND',
      tracker.core.explainer.explain(names('/empty'), 3, { version: 99, fileOffset: 0 }),
    );
  });
});

describe('since when a piece is verified', () => {
  const scrub = {
    ...{
      scannedPieces: 1,
      expectedPieces: 2,
      scannedBytes: 1,
      expectedBytes: 2,
      corruptPieces: 0,
      unreadPieces: 0,
      cachedPieces: 0,
    },
    ...{ throughChunkId: '8', startedAtUnixMs: 200, previousStartedAtUnixMs: 100, rounds: 1, taskId: '' },
  };

  it('is what the rounds of its keeper prove, and nothing else', () => {
    expect(verifiedSince(null, '1')).toBeUndefined();
    expect(verifiedSince(scrub, '8')).toBe(200);
    expect(verifiedSince(scrub, '9')).toBe(100);
    expect(verifiedSince({ ...scrub, previousStartedAtUnixMs: undefined }, '9')).toBeUndefined();
    expect(verifiedSince({ ...scrub, unreadPieces: 1 }, '8')).toBeUndefined();
  });
});

describe('the story of a chunk', () => {
  it('owns up to a chunk that nobody works on', () => {
    const story = {
      ...{ policyPieces: 3, countedPieces: 2, isQueued: false, why: '', awayWith: [], copies: [] },
      ...{ standstill: undefined, blocked: undefined },
    };
    expect(tellChunk(story)).toBe(
      '2 of 3 copies. It is not in the repair queue, which is a defect of Holdfast.',
    );
  });
});
