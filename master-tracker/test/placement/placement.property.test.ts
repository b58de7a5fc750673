/** What must hold for any cluster: distinct keepers, room, distinct domains, even load, determinism. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { choosePlacement } from '../../src/placement/placement.js';
import type { PlacementCandidate } from '../../src/placement/placement.js';
import { seed, seededRandom } from './seeded.js';

const runs = { seed, numRuns: 500 };

const anyCandidate: fc.Arbitrary<PlacementCandidate> = fc
  .record({
    keeperNumber: fc.integer({ min: 0, max: 30 }),
    zone: fc.constantFrom('', 'x', 'y', 'z'),
    totalBytes: fc.integer({ min: 0, max: 1000 }),
    freeShare: fc.double({ min: 0, max: 1, noNaN: true }),
    reservedBytes: fc.integer({ min: 0, max: 200 }),
    activeStreams: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ keeperNumber, freeShare, ...rest }) => ({
    ...rest,
    keeperId: `k${keeperNumber}`,
    freeBytes: Math.floor(rest.totalBytes * freeShare),
  }));

const anyRequest = fc
  .record({
    candidates: fc.uniqueArray(anyCandidate, { maxLength: 20, selector: (candidate) => candidate.keeperId }),
    pieces: fc.integer({ min: 1, max: 6 }),
    minWriteShare: fc.double({ min: 0, max: 1, noNaN: true }),
    pieceBytes: fc.integer({ min: 0, max: 300 }),
    excludeKeeperIds: fc.array(
      fc.integer({ min: 0, max: 30 }).map((number) => `k${number}`),
      { maxLength: 6 },
    ),
    start: fc.integer(),
  })
  .map(({ minWriteShare, ...rest }) => ({
    ...rest,
    minWrite: 1 + Math.floor(minWriteShare * (rest.pieces - 1)),
  }));

const domainOf = (candidate: PlacementCandidate): string => candidate.zone || `keeper ${candidate.keeperId}`;

describe(`choosePlacement, for any cluster (seed ${seed})`, () => {
  it('chooses distinct keepers with room, between minWrite and pieces of them, or says why not', () => {
    fc.assert(
      fc.property(anyRequest, ({ start, ...request }) => {
        const result = choosePlacement({ ...request, random: seededRandom(start) });
        const roomy = request.candidates.filter((c) => c.freeBytes - c.reservedBytes >= request.pieceBytes);
        if (!result.ok) {
          expect(roomy.length).toBeLessThan(request.minWrite);
          expect(result.keepersWithRoom).toBe(roomy.length);
          expect(result.reason === 'out-of-space').toBe(request.candidates.length >= request.minWrite);
          return;
        }
        const { keeperIds } = result;
        expect(new Set(keeperIds).size).toBe(keeperIds.length);
        for (const keeperId of keeperIds) expect(roomy.map((c) => c.keeperId)).toContain(keeperId);
        const usable = roomy.filter((c) => !request.excludeKeeperIds.includes(c.keeperId));
        const wanted = Math.max(Math.min(request.pieces, usable.length), request.minWrite);
        expect(keeperIds).toHaveLength(wanted);
      }),
      runs,
    );
  });

  it('uses no domain again while an unused one is left, and never unevenly', () => {
    fc.assert(
      fc.property(anyRequest, ({ start, ...request }) => {
        const result = choosePlacement({ ...request, excludeKeeperIds: [], random: seededRandom(start) });
        if (!result.ok) return;
        const roomy = request.candidates.filter((c) => c.freeBytes - c.reservedBytes >= request.pieceBytes);
        const uses = new Map<string, number>(roomy.map((c) => [domainOf(c), 0]));
        const keepersLeft = new Map<string, number>();
        for (const c of roomy) keepersLeft.set(domainOf(c), (keepersLeft.get(domainOf(c)) ?? 0) + 1);
        for (const keeperId of result.keeperIds) {
          const domain = domainOf(roomy.find((c) => c.keeperId === keeperId)!);
          const open = [...uses].filter(([name]) => (keepersLeft.get(name) ?? 0) > 0);
          expect(uses.get(domain)).toBe(Math.min(...open.map(([, count]) => count)));
          uses.set(domain, (uses.get(domain) ?? 0) + 1);
          keepersLeft.set(domain, (keepersLeft.get(domain) ?? 0) - 1);
        }
      }),
      runs,
    );
  });

  it('uses excluded keepers after all others, and only up to minWrite', () => {
    fc.assert(
      fc.property(anyRequest, ({ start, ...request }) => {
        const result = choosePlacement({ ...request, random: seededRandom(start) });
        if (!result.ok) return;
        const isExcluded = result.keeperIds.map((keeperId) => request.excludeKeeperIds.includes(keeperId));
        const firstExcluded = isExcluded.indexOf(true);
        if (firstExcluded < 0) return;
        expect(isExcluded.slice(firstExcluded)).not.toContain(false);
        expect(result.keeperIds).toHaveLength(request.minWrite);
      }),
      runs,
    );
  });

  it('gives the same answer for the same random numbers', () => {
    fc.assert(
      fc.property(anyRequest, ({ start, ...request }) => {
        const once = choosePlacement({ ...request, random: seededRandom(start) });
        expect(choosePlacement({ ...request, random: seededRandom(start) })).toEqual(once);
      }),
      runs,
    );
  });
});

/** Places chunks of one byte, each on 3 keepers, and returns how many pieces each keeper got. */
function load(keepers: number, chunks: number, heartbeatEvery: number, random: () => number): number[] {
  const known = Array.from({ length: keepers }, () => ({ free: 1_000_000, reserved: 0 }));
  for (let chunk = 0; chunk < chunks; chunk++) {
    const candidates = known.map(({ free, reserved }, index) => ({
      keeperId: String(index),
      zone: '',
      totalBytes: 1_000_000,
      freeBytes: free,
      reservedBytes: reserved,
      activeStreams: 0,
    }));
    const result = choosePlacement({ candidates, pieces: 3, minWrite: 2, pieceBytes: 1, random });
    if (!result.ok) throw new Error('not placed');
    for (const keeperId of result.keeperIds) known[Number(keeperId)]!.reserved++;
    if (chunk % heartbeatEvery > 0) continue;
    for (const keeper of known) {
      keeper.free -= keeper.reserved;
      keeper.reserved = 0;
    }
  }
  return known.map(({ free, reserved }) => 1_000_000 - free + reserved);
}

describe(`choosePlacement, over many chunks (seed ${seed})`, () => {
  it('keeps every keeper within 2 % of the mean on an even cluster', () => {
    const pieces = load(20, 4_000, 50, seededRandom(seed));
    const mean = (4_000 * 3) / 20;
    for (const count of pieces) expect(Math.abs(count - mean)).toBeLessThanOrEqual(mean * 0.02);
  });

  it('fills an empty new keeper faster than the others, but not with every chunk', () => {
    const random = seededRandom(seed);
    const counts = new Map<string, number>();
    for (let chunk = 0; chunk < 3_000; chunk++) {
      const candidates = Array.from({ length: 10 }, (_, index) => ({
        keeperId: String(index),
        zone: '',
        totalBytes: 1_000,
        freeBytes: index === 0 ? 1_000 : 300,
        reservedBytes: 0,
        activeStreams: 0,
      }));
      const result = choosePlacement({ candidates, pieces: 3, minWrite: 2, pieceBytes: 1, random });
      if (!result.ok) throw new Error('not placed');
      for (const keeperId of result.keeperIds) counts.set(keeperId, (counts.get(keeperId) ?? 0) + 1);
    }
    // Drawn in any of three rounds of two among 10, 9 and 8: 1 − (8/10 · 7/9 · 6/8) = 53 % of the chunks.
    expect(counts.get('0')!).toBeGreaterThan(3_000 * 0.48);
    expect(counts.get('0')!).toBeLessThan(3_000 * 0.59);
  });
});
