import { defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { count } from '../../src/cluster/counts.js';
import { sumScrubs } from '../../src/cluster/scrub-sum.js';
import { type SummaryInput, summarize } from '../../src/cluster/summary.js';
import type { ScrubProgress } from '../../src/membership/keeper.js';
import { CopyRate } from '../../src/repair/copy-rate.js';
import { type RepairStatusInput, describeRepair } from '../../src/repair/repair-status.js';
import { emptyTally } from '../../src/repair/repair-summary.js';
import { seed, seededRandom } from '../placement/seeded.js';
import { type FakeKeeper, TestTracker, id, names } from '../support/fixture.js';

let tracker: TestTracker;
beforeEach(async () => {
  tracker = await TestTracker.start({ keepers: 4, settings: { reclaimGraceMs: 2_000 } });
});
afterEach(() => tracker.end());

/** As it is now: what was counted a moment ago is good for a moment. */
const status = async () => {
  tracker.clock.advance(1_000);
  return tracker.core.status.status();
};

const work = async (alive: readonly FakeKeeper[]): Promise<void> => {
  for (let round = 0; round < 20; round += 1) {
    await tracker.core.repair.step();
    for (const keeper of alive) for (const task of await keeper.heartbeat()) await keeper.complete(task);
  }
};

describe('the matrix of pieces', () => {
  it('has every chunk once, by what it is to have and what it has', async () => {
    const [a, b] = tracker.keepers;
    await tracker.put('/three', { count: 5, on: tracker.keepers.slice(0, 3) });
    await tracker.put('/two', { count: 2, on: [a!, b!], policy: { ...defaultPolicy, pieces: 2 } });
    await tracker.put('/short', { on: [a!, b!] });
    expect((await status()).pieceCounts).toEqual([
      { policyPieces: 2, countedPieces: 2, chunks: 2 },
      { policyPieces: 3, countedPieces: 2, chunks: 1 },
      { policyPieces: 3, countedPieces: 3, chunks: 5 },
    ]);
    await tracker.pass(31_000, tracker.keepers.slice(1));
    expect(await status()).toMatchObject({
      chunks: 8,
      chunksBelowPolicy: 8,
      // Two policies: 5 × 100, 2 × 100, and two of three for the short one.
      bytesMissing: 900,
      pieceCounts: [
        { policyPieces: 2, countedPieces: 1, chunks: 2 },
        { policyPieces: 3, countedPieces: 1, chunks: 1 },
        { policyPieces: 3, countedPieces: 2, chunks: 5 },
      ],
    });
  });

  it('puts what is not looked at where it stood when it was queued, and says so', async () => {
    const two = { ...defaultPolicy, pieces: 2 };
    await tracker.put('/three', { count: 4, on: tracker.keepers.slice(0, 3) });
    await tracker.put('/two', { count: 3, on: tracker.keepers.slice(0, 2), policy: two });
    await tracker.pass(31_000, tracker.keepers.slice(1));
    const { pieceCounts, ...counts } = await tracker.store.read((snapshot) => count(snapshot, 1));
    expect(pieceCounts).toEqual([
      { policyPieces: 2, countedPieces: 1, chunks: 3 },
      { policyPieces: 3, countedPieces: 2, chunks: 4 },
    ]);
    expect(counts).toMatchObject({ chunksNotCounted: 6, chunksBelowPolicy: 7, bytesMissing: 700 });
  });

  it(`is what counting every chunk finds, whatever happened (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const alive = new Set(tracker.keepers);
    const paths: string[] = [];
    for (let step = 0; step < 60; step += 1) {
      const what = pick(['put', 'put', 'delete', 'die', 'return', 'lose', 'repair'] as const);
      const some = [...alive].filter(() => random() < 0.7);
      if (what === 'put' && some.length >= 2) {
        const path = `/f${step}`;
        const pieces = pick([2, 3]);
        const policy = { ...defaultPolicy, pieces };
        await tracker.put(path, { count: 1 + Math.floor(random() * 4), on: some.slice(0, pieces), policy });
        paths.push(path);
      } else if (what === 'delete' && paths.length > 0) {
        const [path] = paths.splice(Math.floor(random() * paths.length), 1);
        await tracker.core.namespace.deleteEntry(names(path!), false, undefined, id());
        await tracker.pass(4_000, [...alive]);
      } else if (what === 'die' && alive.size > 2) {
        alive.delete(pick([...alive]));
        await tracker.pass(31_000, [...alive]);
      } else if (what === 'return') {
        for (const keeper of tracker.keepers.filter((each) => !alive.has(each))) {
          await keeper.register();
          alive.add(keeper);
        }
      } else if (what === 'lose') {
        const keeper = pick([...alive]);
        keeper.incarnation += 1;
        const had = await tracker.reported(keeper);
        await keeper.register();
        await keeper.report(had.filter(() => random() < 0.8));
      } else if (what === 'repair') await work([...alive]);
      const { pieceCounts, chunks } = await status();
      expect({ step, what, matrix: capped(pieceCounts) }).toEqual({ step, what, matrix: await counted() });
      expect(pieceCounts.reduce((sum, count) => sum + count.chunks, 0)).toBe(chunks);
      expect(chunks).toBe(tracker.store.counters.chunks);
      const { kept, recounted } = await sums();
      expect({ step, what, ...kept }).toEqual({ step, what, ...recounted });
    }
  });

  /** What the database keeps of pieces and of the queue, and what counting them finds. */
  const sums = () =>
    tracker.store.read(async ({ db }) => {
      const pieces = await db
        .selectFrom('pieces')
        .select(({ fn }) => ['keeper_id', 'state', fn.countAll<number>().as('pieces')])
        .groupBy(['keeper_id', 'state'])
        .orderBy('keeper_id')
        .orderBy('state')
        .execute();
      const queue = await db
        .selectFrom('repair_queue')
        .innerJoin('chunks', 'chunks.chunk_id', 'repair_queue.chunk_id')
        .select(['chunks.pieces as policy_pieces', 'pieces_left', 'because'])
        .select(({ fn }) => [fn.countAll<number>().as('chunks'), fn.sum<number>('chunks.length').as('bytes')])
        .where('below_policy', '=', 1)
        .groupBy(['chunks.pieces', 'pieces_left', 'because'])
        .orderBy('chunks.pieces')
        .orderBy('pieces_left')
        .orderBy('because')
        .execute();
      const keptPieces = await db
        .selectFrom('piece_counts')
        .selectAll()
        .where('pieces', '!=', 0)
        .orderBy('keeper_id')
        .orderBy('state')
        .execute();
      const keptQueue = await db
        .selectFrom('queue_counts')
        .selectAll()
        .where('chunks', '!=', 0)
        .orderBy('policy_pieces')
        .orderBy('pieces_left')
        .orderBy('because')
        .execute();
      return { recounted: { pieces, queue }, kept: { pieces: keptPieces, queue: keptQueue } };
    });

  type Matrix = Record<string, number>;
  /** A piece too many is not counted for chunks that nobody looks at. */
  const capped = (
    counts: readonly { policyPieces: number; countedPieces: number; chunks: number }[],
  ): Matrix => {
    const matrix: Matrix = {};
    for (const { policyPieces, countedPieces, chunks } of counts) {
      const key = `${Math.min(policyPieces, countedPieces)} of ${policyPieces}`;
      matrix[key] = (matrix[key] ?? 0) + chunks;
    }
    return matrix;
  };

  /** By looking at every chunk. */
  const counted = async (): Promise<Matrix> => {
    const { chunks, pieces } = await tracker.store.read(async ({ db }) => ({
      chunks: await db.selectFrom('chunks').selectAll().where('state', '=', 'live').execute(),
      pieces: await db
        .selectFrom('pieces')
        .innerJoin('keepers', 'keepers.keeper_id', 'pieces.keeper_id')
        .select('chunk_id')
        .where('state', '=', 'durable')
        .where('dead', '=', 0)
        .execute(),
    }));
    return capped(
      chunks.map((chunk) => ({
        policyPieces: chunk.pieces,
        countedPieces: pieces.filter((piece) => piece.chunk_id === chunk.chunk_id).length,
        chunks: 1,
      })),
    );
  };
});

describe('what repair does', () => {
  const repair = async () => (await status()).repair;

  it('is nothing while no chunk waits', async () => {
    await tracker.core.repair.step();
    expect(await repair()).toMatchObject({
      text: 'No chunk waits for a copy.',
      chunksQueued: 0,
      blocked: [],
    });
  });

  it('is told with why, how fast and until when', async () => {
    await tracker.put('/file', { count: 40, on: tracker.keepers.slice(0, 3) });
    const [gone, ...alive] = tracker.keepers;
    await tracker.pass(31_000, alive);
    expect((await repair()).text).toBe(
      `40 chunks wait for copies of 3.9 KiB: keeper ${gone!.keeperId.slice(0, 8)} at ${gone!.address} is gone. Nobody has looked yet what can be done.`,
    );
    await tracker.core.repair.step();
    expect(await repair()).toMatchObject({
      copiesInFlight: 32,
      remainingMs: undefined,
      text: expect.stringMatching(/32 copies planned \(32 below policy\)\. 8 chunks blocked, budget/),
      blocked: [{ reason: 'budget', chunks: 8 }],
    });
    const fetcher = tracker.keepers[3]!;
    for (const task of await fetcher.heartbeat()) await fetcher.complete(task);
    // 1,000 bytes came within the window, 3,000 are left.
    const { bytesPerSecond, remainingMs, chunksQueued } = await repair();
    expect(bytesPerSecond).toBeGreaterThan(0);
    expect({ chunksQueued, remainingMs }).toEqual({
      chunksQueued: 40,
      remainingMs: Math.ceil((3_000 / bytesPerSecond) * 1_000),
    });
    await work(alive);
    expect(await repair()).toMatchObject({ text: 'No chunk waits for a copy.', remainingMs: undefined });
  });

  it('has no end in sight while there is nowhere to copy to', async () => {
    await tracker.put('/file', { count: 3 });
    await tracker.pass(31_000, tracker.keepers.slice(2));
    await work(tracker.keepers.slice(2));
    const found = await repair();
    expect(found).toMatchObject({
      remainingMs: undefined,
      braked: true,
      blocked: [{ reason: 'brake', chunks: 3 }],
    });
    expect((await status()).summary).toMatch(
      /3 of 3 chunks below policy, 0 copies being made: the brake holds/,
    );
  });

  it('is nothing right after the start, and says why', async () => {
    await tracker.put('/file', { on: tracker.keepers.slice(0, 2) });
    await tracker.restart();
    await tracker.core.repair.step();
    expect(await repair()).toMatchObject({
      safeMode: true,
      text: expect.stringMatching(/^1 chunk waits .* The tracker has just started/),
    });
  });

  it('is nothing while the metadata is behind', async () => {
    const { clusterId, instanceId } = tracker.core.identity;
    await tracker.keepers[0]!.register(clusterId, { clusterId, instanceId, epoch: 9, transactionId: 9_000 });
    expect((await repair()).text).toMatch(/^Nothing is copied while the metadata is behind/);
  });

  it('estimates no end of what has none, and says nothing of a queue that was found empty', () => {
    const moving: RepairStatusInput = {
      ...{ chunksQueued: 4, bytesMissing: 1_000, reasons: [], copiesInFlight: 1, bytesPerSecond: 100 },
      ...{
        braked: false,
        limitBytesPerSecond: 0,
        standstill: undefined,
        found: emptyTally(false, false),
        name: (keeperId) => keeperId,
      },
    };
    const blockedBy = (reason: 'brake' | 'budget') => {
      const found = emptyTally(false, false);
      found.blocked[reason] = 3;
      return found;
    };
    expect(describeRepair(moving).remainingMs).toBe(10_000);
    expect(describeRepair({ ...moving, found: blockedBy('budget') }).remainingMs).toBe(10_000);
    expect(describeRepair({ ...moving, found: blockedBy('brake') }).remainingMs).toBeUndefined();
    expect(describeRepair({ ...moving, standstill: 'safe mode' }).remainingMs).toBeUndefined();
    const empty = { ...moving, chunksQueued: 0, found: blockedBy('brake') };
    expect(describeRepair(empty)).toMatchObject({ text: 'No chunk waits for a copy.', blocked: [] });
  });

  it('measures copies over a window', () => {
    const rate = new CopyRate();
    expect(rate.bytesPerSecond(0)).toBe(0);
    for (let second = 0; second < 30; second += 1) rate.note(second * 1_000, 500);
    expect(rate.bytesPerSecond(29_999)).toBe(500);
    expect(rate.bytesPerSecond(60_000)).toBe(0);
  });
});

describe('the sentence', () => {
  const keeper = {
    ...{ keeperId: 'a'.repeat(32), address: 'a:1', pieces: 5 },
    ...({ state: 'live', storageError: null, identityConflict: null, reported: true } as const),
  };
  const good: SummaryInput = {
    keepers: [keeper, keeper],
    metadataRegressed: false,
    chunks: 5,
    chunksBelowPolicy: 0,
    chunksUnreadable: 0,
    chunksNotCounted: 0,
    chunksBadlyPlaced: 0,
    repair: { copiesInFlight: 0, braked: false, safeMode: false, blocked: [] },
  };

  it.each<[string, Partial<SummaryInput>, RegExp]>([
    ['all is well', {}, /^healthy: 2 keepers live, every chunk has all its copies$/],
    [
      'a keeper has yet to report',
      { keepers: [keeper, { ...keeper, reported: false }] },
      /^unconfirmed: .*by the records/,
    ],
    [
      'a keeper is away',
      { keepers: [keeper, { ...keeper, state: 'dead' }] },
      /^degraded: 1 keeper live, 1 dead/,
    ],
    [
      'another keeper is in the place of one that is away',
      { keepers: [keeper, { ...keeper, keeperId: 'b'.repeat(32), state: 'suspect', pieces: 1 }] },
      /^degraded: .* another one at a:1 where bbbbbbbb with 1 piece was: is its disk mounted\?, every chunk/,
    ],
    [
      'nobody is there',
      { keepers: [{ ...keeper, state: 'suspect' }] },
      /^unavailable: 0 keepers live, 1 suspect/,
    ],
    ['nobody ever was', { keepers: [], chunks: 0 }, /^waiting/],
    ['chunks cannot be read', { chunksUnreadable: 1 }, /^critical: .* 1 of 5 chunks/],
    [
      'more may be unreadable than were looked at',
      { chunksUnreadable: 1, chunksNotCounted: 3 },
      /^critical: .*, at least 1 of 5 chunks/,
    ],
    ['not all was looked at', { chunksBelowPolicy: 4, chunksNotCounted: 1 }, /^degraded: .* up to 4 of 5/],
    ['the metadata is old', { metadataRegressed: true }, /^METADATA REGRESSED/],
  ])('says so when %s', (_, change, sentence) => {
    expect(summarize({ ...good, ...change })).toMatch(sentence);
  });
});

describe('the sum of scrubs', () => {
  const scrub: ScrubProgress = {
    scannedPieces: 1,
    expectedPieces: 10,
    scannedBytes: 100,
    expectedBytes: 1_000,
    corruptPieces: 1,
    unreadPieces: 0,
    cachedPieces: 0,
    throughChunkId: id(),
    startedAtUnixMs: 5_000,
    previousStartedAtUnixMs: 1_000,
    rounds: 3,
    taskId: '',
  };

  it('adds amounts, and takes the worst of what is true of all', () => {
    expect(sumScrubs([])).toBeUndefined();
    const { previousStartedAtUnixMs: _, ...young } = { ...scrub, startedAtUnixMs: 4_000, rounds: 0 };
    expect(sumScrubs([scrub, young])).toMatchObject({
      scannedPieces: 2,
      expectedPieces: 20,
      corruptPieces: 2,
      startedAtUnixMs: 4_000,
      previousStartedAtUnixMs: undefined,
      rounds: 0,
      throughChunkId: '',
    });
  });

  it('comes from heartbeats, with what is in the keepers’ trash', async () => {
    const [keeper] = tracker.keepers;
    await tracker.core.registry.heartbeat(
      {
        ...keeper!.identity,
        capacity: { ...keeper!.capacity, trashBytes: 77 },
        ...{ activeStreams: 0, freeTaskSlots: 0, stopping: false, storageError: null, scrub },
      },
      [],
    );
    const { scrub: sum, reclaim, keepers } = await status();
    expect(sum).toMatchObject({ scannedPieces: 1, expectedPieces: 10 });
    expect(keepers.map((each) => each.scrub)).toEqual([scrub, null, null, null]);
    expect(reclaim).toEqual({
      ...{ trashedVersions: 0, trashedBytes: 0, piecesToReclaim: 0, keeperTrashBytes: 77 },
    });
  });
});
