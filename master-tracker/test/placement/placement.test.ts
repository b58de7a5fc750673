import { describe, expect, it } from '@jest/globals';
import { choosePlacement, FREE_SHARE_TIE } from '../../src/placement/placement.js';
import type { PlacementCandidate, PlacementRequest } from '../../src/placement/placement.js';
import { seededRandom } from './seeded.js';

const GIB = 2 ** 30;

function candidate(keeperId: string, changes: Partial<PlacementCandidate> = {}): PlacementCandidate {
  return {
    keeperId,
    zone: '',
    totalBytes: 100 * GIB,
    freeBytes: 50 * GIB,
    reservedBytes: 0,
    activeStreams: 0,
    ...changes,
  };
}

function request(
  candidates: PlacementCandidate[],
  changes: Partial<PlacementRequest> = {},
): PlacementRequest {
  return { candidates, pieces: 3, minWrite: 2, pieceBytes: GIB, random: seededRandom(1), ...changes };
}

/** The keepers chosen; fails the test where there are none. */
function chosen(placement: PlacementRequest): readonly string[] {
  const result = choosePlacement(placement);
  if (!result.ok) throw new Error(`not placed: ${JSON.stringify(result)}`);
  return result.keeperIds;
}

const named = (...ids: string[]): PlacementCandidate[] => ids.map((id) => candidate(id));

describe('choosePlacement', () => {
  it('gives every keeper of a small cluster a piece', () => {
    expect([...chosen(request(named('a', 'b', 'c')))].sort()).toEqual(['a', 'b', 'c']);
  });

  it('is content with fewer keepers than pieces, as long as there are minWrite', () => {
    expect([...chosen(request(named('a', 'b')))].sort()).toEqual(['a', 'b']);
  });

  it('says how many keepers there are when they are too few', () => {
    expect(choosePlacement(request(named('a')))).toEqual({
      ok: false,
      reason: 'not-enough-keepers',
      neededKeepers: 2,
      candidateKeepers: 1,
      keepersWithRoom: 1,
    });
    expect(choosePlacement(request([]))).toMatchObject({ reason: 'not-enough-keepers', candidateKeepers: 0 });
  });

  it('says how many keepers have room when too few have', () => {
    const full = { freeBytes: GIB - 1 };
    const candidates = [candidate('a', full), candidate('b', full), candidate('c')];
    expect(choosePlacement(request(candidates))).toEqual({
      ok: false,
      reason: 'out-of-space',
      neededKeepers: 2,
      candidateKeepers: 3,
      keepersWithRoom: 1,
    });
  });

  it('counts what was reserved since the heartbeat as used', () => {
    const candidates = [candidate('a', { freeBytes: 2 * GIB, reservedBytes: 1.5 * GIB }), ...named('b', 'c')];
    expect(chosen(request(candidates))).not.toContain('a');
  });

  it('takes a keeper whose room is exactly the piece', () => {
    const candidates = [candidate('a', { freeBytes: GIB }), candidate('b')];
    expect(chosen(request(candidates))).toContain('a');
  });

  it('leaves excluded keepers out even if that means fewer pieces', () => {
    const ids = chosen(request(named('a', 'b', 'c'), { excludeKeeperIds: ['c'] }));
    expect([...ids].sort()).toEqual(['a', 'b']);
  });

  it('uses excluded keepers last, and no more of them than minWrite asks for', () => {
    const ids = chosen(request(named('a', 'b', 'c'), { excludeKeeperIds: ['b', 'c'] }));
    expect(ids).toHaveLength(2);
    expect(ids[0]).toBe('a');
  });

  it('places on excluded keepers where there are no others', () => {
    const ids = chosen(request(named('a', 'b'), { excludeKeeperIds: new Set(['a', 'b']) }));
    expect([...ids].sort()).toEqual(['a', 'b']);
  });

  it('counts a keeper that is listed twice once', () => {
    expect(choosePlacement(request(named('a', 'a')))).toMatchObject({ ok: false, candidateKeepers: 1 });
  });

  it('avoids the domains of the pieces that are there already, and their keepers', () => {
    const candidates = [
      candidate('a', { zone: 'x' }),
      candidate('b', { zone: 'x' }),
      candidate('c', { zone: 'y', freeBytes: 2 * GIB, activeStreams: 100 }),
    ];
    const occupied = [{ keeperId: 'a', zone: 'x' }];
    expect(chosen(request(candidates, { pieces: 1, minWrite: 1, occupied }))).toEqual(['c']);
    const everywhere = [...occupied, { keeperId: 'c', zone: 'y' }];
    expect(chosen(request(candidates, { pieces: 1, minWrite: 1, occupied: everywhere }))).toEqual(['b']);
  });

  it('does not take a zone for the keeper of that name', () => {
    const candidates = [candidate('x'), candidate('a', { zone: 'x' }), candidate('b', { zone: 'x' })];
    const ids = chosen(request(candidates, { pieces: 2 }));
    expect(ids).toContain('x');
  });
});

describe('choosePlacement, of two keepers', () => {
  const winner = (first: Partial<PlacementCandidate>, second: Partial<PlacementCandidate>): string => {
    const candidates = [candidate('first', first), candidate('second', second)];
    const random = seededRandom(1);
    const results = Array.from(
      { length: 40 },
      () => chosen(request(candidates, { pieces: 1, minWrite: 1, random }))[0],
    );
    return [...new Set(results)].join(' or ');
  };

  it('takes the one with the larger free share, not the larger free space', () => {
    expect(
      winner({ totalBytes: 1000 * GIB, freeBytes: 100 * GIB }, { totalBytes: 10 * GIB, freeBytes: 5 * GIB }),
    ).toBe('second');
  });

  it('takes the one with fewer streams when the shares are about equal', () => {
    const slightlyLess = { freeBytes: 50 * GIB - 0.9 * FREE_SHARE_TIE * 100 * GIB };
    expect(winner({ ...slightlyLess, activeStreams: 3 }, { activeStreams: 4 })).toBe('first');
  });

  it('lets the share decide when it differs by more, whatever the streams', () => {
    const less = { freeBytes: 50 * GIB - 1.1 * FREE_SHARE_TIE * 100 * GIB };
    expect(winner({ ...less, activeStreams: 0 }, { activeStreams: 400 })).toBe('second');
  });

  it('lets the exact share decide when streams are equal too', () => {
    expect(winner({ freeBytes: 50 * GIB - 1 }, {})).toBe('second');
  });

  it('leaves it to chance when nothing tells them apart', () => {
    expect(winner({}, {})).toMatch(/ or /);
  });

  it('puts a storage of no size last', () => {
    expect(winner({ totalBytes: 0 }, { freeBytes: 2 * GIB })).toBe('second');
  });
});
