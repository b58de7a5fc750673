/** What must hold for any plan, checked with a count of its own; and that repair comes to an end. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InFlightTable } from '../../src/repair/in-flight.js';
import { planRepair } from '../../src/repair/repair-planner.js';
import { DEFAULT_REPAIR_LIMITS } from '../../src/repair/repair-view.js';
import type { RepairChunk, RepairKeeper, RepairView } from '../../src/repair/repair-view.js';
import { seed, seededRandom } from '../placement/seeded.js';
import { keeper, MIB, NOW_MS, replicated } from './fixtures.js';

/** Chunks are up to 120 of these, so some of them are small, and of different sizes. */
const unit = 64 * 1024;
/** How much of a copy a piece is: a sixteenth for each 256 KiB, one at least, all at most. */
const shareOf = (pieceBytes: number): number =>
  Math.min(16, Math.max(1, Math.ceil(pieceBytes / (256 * 1024)))) / 16;

const keeperIds = Array.from({ length: 10 }, (_, index) => `k${index}`);

const anyKeeper = (keeperId: string): fc.Arbitrary<RepairKeeper> =>
  fc
    .record({
      zone: fc.constantFrom('', 'x', 'y'),
      state: fc.constantFrom('live', 'live', 'live', 'suspect', 'maintenance', 'dead' as const),
      deadForMs: fc.integer({ min: 0, max: 1_200_000 }),
      freeBytes: fc.integer({ min: 0, max: 300 * unit }),
      reservedBytes: fc.integer({ min: 0, max: 100 * unit }),
      draining: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
      succeeded: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
      storageWritable: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
      copiesAsTarget: fc.integer({ min: 0, max: 3 }),
      copiesAsSource: fc.integer({ min: 0, max: 3 }),
      clientStreams: fc.integer({ min: 0, max: 3 }),
      rateLeftBytes: fc.constantFrom(Infinity, Infinity, 50 * unit, 0, -10),
    })
    .map(({ deadForMs, ...rest }) => ({
      ...rest,
      keeperId,
      totalBytes: 400 * unit,
      reported: true,
      deadSinceMs: rest.state === 'dead' ? NOW_MS - deadForMs : null,
    }));

const anyChunk = (chunkId: string): fc.Arbitrary<RepairChunk> =>
  fc
    .record({
      holders: fc.shuffledSubarray(keeperIds, { maxLength: 6 }),
      coded: fc.boolean(),
      lengthBytes: fc.integer({ min: 0, max: 120 * unit }),
      pieces: fc.integer({ min: 1, max: 6 }),
      state: fc.constantFrom('durable', 'suspect' as const),
    })
    .map(({ holders, coded, lengthBytes, pieces, state }) => ({
      chunkId,
      lengthBytes,
      policy: coded ? { pieces: 6, needed: 3, minWrite: 4 } : { pieces, needed: 1, minWrite: 1 },
      pieces: holders.map((keeperId, index) => ({ keeperId, pieceIndex: coded ? index : 0, state })),
    }));

const anyView = fc
  .record({
    keepers: fc.tuple(...keeperIds.map(anyKeeper)),
    chunks: fc.integer({ min: 0, max: 12 }).chain((count) => {
      return fc.tuple(...Array.from({ length: count }, (_, index) => anyChunk(`c${index}`)));
    }),
    coming: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 11 }), fc.constantFrom(...keeperIds)), {
      maxLength: 5,
      selector: ([chunk, target]) => `${chunk} ${target}`,
    }),
    start: fc.integer(),
  })
  .map(({ keepers, chunks, coming, start }): RepairView => {
    const inFlight = coming.map(([chunk, targetKeeperId]) => ({
      chunkId: `c${chunk}`,
      pieceIndex: 0,
      pieceBytes: 10 * unit,
      targetKeeperId,
      sourceKeeperIds: ['k0'],
      sourcesNeeded: 1,
      startedMs: NOW_MS,
    }));
    const limits = { ...DEFAULT_REPAIR_LIMITS, ordinary: { ...DEFAULT_REPAIR_LIMITS.ordinary, total: 8 } };
    return { nowMs: NOW_MS, safeMode: false, chunks, keepers, inFlight, limits, random: seededRandom(start) };
  });

const keeperOf = (view: RepairView, keeperId: string) => view.keepers.find((k) => k.keeperId === keeperId)!;
const countedPieces = (view: RepairView, chunk: RepairChunk): number =>
  chunk.pieces.filter((piece) => keeperOf(view, piece.keeperId).state !== 'dead').length;

/** Those that the policy is kept with. */
const keptPieces = (view: RepairView, chunk: RepairChunk): number => {
  const holders = chunk.pieces
    .map(({ keeperId }) => keeperOf(view, keeperId))
    .filter(({ state }) => state !== 'dead');
  const isLeaving = holders.some(({ draining }) => draining);
  return holders.filter(({ draining, storageWritable }) => !draining && (storageWritable || !isLeaving))
    .length;
};

const check = (property: (view: RepairView) => void): void => {
  fc.assert(fc.property(anyView, property), { seed, numRuns: 500 });
};

describe(`planRepair, for any view (seed ${seed})`, () => {
  it('copies only where a piece is missing or misplaced and the chunk can be read, never too many', () => {
    check((view) => {
      const plan = planRepair(view);
      for (const chunk of view.chunks) {
        const counted = countedPieces(view, chunk);
        const added = plan.copies.filter((c) => c.chunkId === chunk.chunkId);
        const kept = keptPieces(view, chunk);
        const isReadable = counted >= chunk.policy.needed;
        const isMove = added.some((c) => c.urgency === 'badly-placed');
        if (isMove)
          expect([added.length, counted, kept]).toEqual([1, chunk.policy.pieces, chunk.policy.pieces]);
        else
          expect(added.length).toBeLessThanOrEqual(isReadable ? Math.max(0, chunk.policy.pieces - kept) : 0);
        if (plan.healthyChunkIds.includes(chunk.chunkId)) {
          expect(isReadable && kept >= chunk.policy.pieces).toBe(true);
          if (chunk.policy.needed === 1) expect(counted).toBe(chunk.policy.pieces);
        }
        if (plan.surplusChunkIds.includes(chunk.chunkId)) {
          expect(kept).toBeGreaterThanOrEqual(chunk.policy.pieces);
          expect(counted).toBeGreaterThan(chunk.policy.pieces);
        }
        const indices = added.map((c) => c.pieceIndex);
        if (chunk.policy.needed > 1) expect(new Set(indices).size).toBe(indices.length);
        else expect(indices.every((index) => index === 0)).toBe(true);
      }
    });
  });

  it('sends no piece to a keeper that has one, is getting one, is away or cannot write', () => {
    check((view) => {
      const taken = new Set(view.inFlight.map((c) => `${c.chunkId} ${c.targetKeeperId}`));
      for (const chunk of view.chunks) {
        for (const piece of chunk.pieces) taken.add(`${chunk.chunkId} ${piece.keeperId}`);
      }
      for (const copy of planRepair(view).copies) {
        const key = `${copy.chunkId} ${copy.targetKeeperId}`;
        expect(taken).not.toContain(key);
        taken.add(key);
        expect(keeperOf(view, copy.targetKeeperId)).toMatchObject({
          state: 'live',
          draining: false,
          storageWritable: true,
        });
      }
    });
  });

  it('reads only from keepers that have a piece, enough different ones and first from those that answer', () => {
    check((view) => {
      for (const copy of planRepair(view).copies) {
        const chunk = view.chunks.find((c) => c.chunkId === copy.chunkId)!;
        const pieceOf = (keeperId: string) => chunk.pieces.find((piece) => piece.keeperId === keeperId);
        const used = copy.sourceKeeperIds.slice(0, copy.sourcesNeeded);
        expect(new Set(used.map((keeperId) => pieceOf(keeperId)?.pieceIndex)).size).toBe(chunk.policy.needed);
        for (const keeperId of used) expect(keeperOf(view, keeperId).state).toBe('live');
        expect(new Set(copy.sourceKeeperIds).size).toBe(copy.sourceKeeperIds.length);
        for (const keeperId of copy.sourceKeeperIds) {
          expect(pieceOf(keeperId)).toBeDefined();
          expect(['live', 'suspect']).toContain(keeperOf(view, keeperId).state);
        }
      }
    });
  });

  it('keeps to the limits of every keeper and of the cluster, and to the room', () => {
    check((view) => {
      const asTarget = new Map(view.keepers.map((k) => [k.keeperId, k.copiesAsTarget]));
      const asSource = new Map(view.keepers.map((k) => [k.keeperId, k.copiesAsSource]));
      const room = new Map(view.keepers.map((k) => [k.keeperId, k.freeBytes - k.reservedBytes]));
      for (const c of view.inFlight) room.set(c.targetKeeperId, room.get(c.targetKeeperId)! - c.pieceBytes);
      let total = view.inFlight.length;
      for (const copy of planRepair(view).copies) {
        const limits = copy.urgency === 'endangered' ? view.limits.endangered : view.limits.ordinary;
        expect(++total).toBeLessThanOrEqual(limits.total);
        // The last one to begin may exceed it, or large ones would never find room among small ones.
        const received = asTarget.get(copy.targetKeeperId)!;
        expect(received).toBeLessThan(limits.perTarget);
        asTarget.set(copy.targetKeeperId, received + shareOf(copy.pieceBytes));
        for (const keeperId of copy.sourceKeeperIds.slice(0, copy.sourcesNeeded)) {
          const sent = asSource.get(keeperId)!;
          expect(sent).toBeLessThan(limits.perSource);
          asSource.set(keeperId, sent + shareOf(copy.pieceBytes));
        }
        const left = room.get(copy.targetKeeperId)! - copy.pieceBytes;
        expect(left).toBeGreaterThanOrEqual(0);
        room.set(copy.targetKeeperId, left);
      }
    });
  });

  it('leaves a busy keeper at one ordinary copy, and begins none past the rate', () => {
    check((view) => {
      const { busyStreams } = view.limits;
      const asTarget = new Map(view.keepers.map((k) => [k.keeperId, k.copiesAsTarget]));
      const asSource = new Map(view.keepers.map((k) => [k.keeperId, k.copiesAsSource]));
      const left = new Map(view.keepers.map((k) => [k.keeperId, k.rateLeftBytes]));
      const isBusy = (keeperId: string) => keeperOf(view, keeperId).clientStreams > busyStreams;
      for (const { urgency, targetKeeperId: target, ...copy } of planRepair(view).copies) {
        const isOrdinary = urgency !== 'endangered';
        if (isOrdinary) expect(left.get(target)).toBeGreaterThan(0);
        if (isOrdinary && isBusy(target)) expect(asTarget.get(target)).toBeLessThan(1);
        if (isOrdinary) left.set(target, left.get(target)! - copy.pieceBytes);
        asTarget.set(target, asTarget.get(target)! + shareOf(copy.pieceBytes));
        for (const keeperId of copy.sourceKeeperIds.slice(0, copy.sourcesNeeded)) {
          if (isOrdinary && isBusy(keeperId)) expect(asSource.get(keeperId)).toBeLessThan(1);
          asSource.set(keeperId, asSource.get(keeperId)! + shareOf(copy.pieceBytes));
        }
      }
    });
  });

  it('puts the worst first, and under the brake only the endangered', () => {
    const rank = ['endangered', 'below-half', 'below-policy', 'draining', 'badly-placed'];
    check((view) => {
      const { copies, summary } = planRepair(view);
      const ranks = copies.map((c) => rank.indexOf(c.urgency));
      expect(ranks).toEqual([...ranks].sort((a, b) => a - b));
      if (summary.braked) expect(ranks.every((r) => r === 0)).toBe(true);
    });
  });

  it('accounts for every chunk: planned, in flight, blocked with a reason, unreadable, surplus or healthy', () => {
    check((view) => {
      const { copies, blocked, summary, healthyChunkIds } = planRepair(view);
      const below = Object.values(summary.below).reduce((sum, n) => sum + n, 0);
      expect(below + summary.unreadable + summary.surplus + summary.healthy).toBe(view.chunks.length);
      expect(healthyChunkIds).toHaveLength(summary.healthy);
      const touched = new Set([...copies, ...blocked].map((c) => c.chunkId));
      expect(touched.size + summary.inFlight).toBe(below);
      expect(Object.values(summary.planned).reduce((sum, n) => sum + n, 0)).toBe(copies.length);
      expect(Object.values(summary.blocked).reduce((sum, n) => sum + n, 0)).toBe(blocked.length);
    });
  });

  it('is the same for the same view and random numbers, and does not change the view', () => {
    fc.assert(
      fc.property(anyView, fc.integer(), (view, start) => {
        const before = JSON.stringify(view);
        const once = planRepair({ ...view, random: seededRandom(start) });
        expect(planRepair({ ...view, random: seededRandom(start) })).toEqual(once);
        expect(JSON.stringify(view)).toBe(before);
      }),
      { seed, numRuns: 200 },
    );
  });
});

describe(`repair, round after round (seed ${seed})`, () => {
  it('brings every chunk that can be read back to its policy, and then has nothing to do', () => {
    const random = seededRandom(seed);
    const ids = Array.from({ length: 9 }, (_, index) => `k${index}`);
    const chunks = Array.from({ length: 300 }, (_, index) => {
      const holders = ids.filter(() => random() < 0.4).slice(0, 3);
      return replicated(`c${index}`, holders.length > 0 ? holders : ['k0']);
    });
    const dead = new Set(['k7', 'k8']);
    const keepers = ids.map((id) =>
      keeper(id, dead.has(id) ? { state: 'dead', deadSinceMs: 0, zone: 'z' } : { totalBytes: 1_000 * MIB }),
    );
    const table = new InFlightTable();
    for (let round = 0; round < 200; round++) {
      const counts = table.countsByKeeper();
      const view: RepairView = {
        nowMs: NOW_MS + round * 1_000,
        safeMode: false,
        chunks,
        keepers: keepers.map((k) => ({
          ...k,
          copiesAsTarget: counts.get(k.keeperId)?.asTarget ?? 0,
          copiesAsSource: counts.get(k.keeperId)?.asSource ?? 0,
        })),
        inFlight: table.list(),
        limits: DEFAULT_REPAIR_LIMITS,
        random,
      };
      const plan = planRepair(view);
      for (const { urgency: _, ...copy } of plan.copies) table.add({ ...copy, startedMs: view.nowMs });
      // About half of the copies are done by the next round.
      for (const copy of table.list().filter(() => random() < 0.5)) {
        table.complete(copy.chunkId, copy.targetKeeperId);
        const index = chunks.findIndex((c) => c.chunkId === copy.chunkId);
        const piece = { keeperId: copy.targetKeeperId, pieceIndex: 0, state: 'durable' as const };
        chunks[index] = { ...chunks[index]!, pieces: [...chunks[index]!.pieces, piece] };
      }
    }
    expect(table.size).toBe(0);
    for (const { pieces } of chunks) {
      const left = pieces.filter((piece) => !dead.has(piece.keeperId)).map((piece) => piece.keeperId);
      const isLost = left.length === 0;
      expect(new Set(left).size).toBe(isLost ? 0 : 3);
      expect(left).toHaveLength(isLost ? 0 : 3);
    }
  });
});
