import { describe, expect, it } from '@jest/globals';
import { planRepair } from '../../src/repair/repair-planner.js';
import { DEFAULT_REPAIR_LIMITS } from '../../src/repair/repair-view.js';
import type { RepairView } from '../../src/repair/repair-view.js';
import { coded, copy, keeper, lost, MIB, NOW_MS, replicated, view } from './fixtures.js';

const live = (...ids: string[]) => ids.map((id) => keeper(id));

/** The plan as "chunk: source,… > target (urgency)". */
function planned(repairView: RepairView): string[] {
  return planRepair(repairView).copies.map(
    (c) => `${c.chunkId}: ${c.sourceKeeperIds.join(',')} > ${c.targetKeeperId} (${c.urgency})`,
  );
}

describe('a chunk', () => {
  it('that lost a piece is copied to the keeper that has none', () => {
    const plan = planRepair(view([...live('a', 'b', 'd'), lost('c')], [replicated('c1', ['a', 'b', 'c'])]));
    expect(plan.copies).toHaveLength(1);
    expect(plan.copies[0]).toMatchObject({
      chunkId: 'c1',
      pieceIndex: 0,
      pieceBytes: 4 * MIB,
      targetKeeperId: 'd',
      sourcesNeeded: 1,
      urgency: 'below-policy',
    });
    expect([...plan.copies[0]!.sourceKeeperIds].sort()).toEqual(['a', 'b']);
    expect(plan.summary.text).toBe('1 copy planned (1 below policy).');
  });

  it('that has all its pieces is to be taken off the queue', () => {
    const plan = planRepair(view(live('a', 'b', 'c', 'd'), [replicated('c1', ['a', 'b', 'c'])]));
    expect(plan).toMatchObject({ copies: [], healthyChunkIds: ['c1'], summary: { healthy: 1 } });
  });

  it.each(['suspect', 'maintenance'] as const)('counts its pieces on a keeper that is %s', (state) => {
    const keepers = [...live('a', 'b', 'd'), keeper('c', { state })];
    expect(planRepair(view(keepers, [replicated('c1', ['a', 'b', 'c'])])).healthyChunkIds).toEqual(['c1']);
  });

  it('does not count a piece on a keeper that nobody knows', () => {
    const plan = planRepair(view(live('a', 'b', 'c'), [replicated('c1', ['a', 'b', 'gone'])]));
    expect(plan.copies).toMatchObject([{ targetKeeperId: 'c' }]);
  });

  it('counts a keeper that is named twice once', () => {
    const plan = planRepair(view(live('a', 'b', 'c'), [replicated('c1', ['a', 'a', 'b'])]));
    expect(plan.copies).toMatchObject([{ targetKeeperId: 'c' }]);
  });

  it('that nobody has is counted as unreadable, not planned and not taken off', () => {
    const plan = planRepair(view([...live('a'), lost('b')], [replicated('c1', ['b']), replicated('c2', [])]));
    expect(plan).toMatchObject({ copies: [], healthyChunkIds: [], summary: { unreadable: 2 } });
    expect(plan.summary.text).toContain('2 chunks unreadable');
  });

  it('with more pieces than it needs is one for the trimmer', () => {
    const plan = planRepair(view(live('a', 'b', 'c', 'd'), [replicated('c1', ['a', 'b', 'c', 'd'])]));
    expect(plan.surplusChunkIds).toEqual(['c1']);
    expect(plan.healthyChunkIds).toEqual([]);
  });

  it('of nothing is copied all the same', () => {
    const empty = replicated('c1', ['a', 'b'], { lengthBytes: 0 });
    expect(planRepair(view(live('a', 'b', 'c'), [empty])).copies).toMatchObject([{ pieceBytes: 0 }]);
  });
});

describe('the order', () => {
  const wide = { pieces: 6, needed: 1, minWrite: 2 };

  it('is by urgency, then by spare pieces, then that of the page', () => {
    const keepers = live('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    const chunks = [
      replicated('policy 1', ['a', 'b']),
      replicated('half', ['a', 'b'], { policy: wide }),
      replicated('policy 2', ['c', 'd']),
      replicated('alone 1', ['e']),
      replicated('spare', ['a', 'b', 'c', 'd', 'e'], { policy: wide }),
      replicated('alone 2', ['f']),
    ];
    const limits = { ...DEFAULT_REPAIR_LIMITS, ordinary: { perTarget: 99, perSource: 99, total: 99 } };
    const firsts = new Set(planRepair(view(keepers, chunks, { limits })).copies.map((c) => c.chunkId));
    expect([...firsts]).toEqual(['alone 1', 'alone 2', 'half', 'policy 1', 'policy 2', 'spare']);
  });

  it('gives all the endangered a second piece before anyone a third', () => {
    const keepers = live('a', 'b', 'c', 'd', 'e');
    const plan = planRepair(view(keepers, [replicated('c1', ['a']), replicated('c2', ['b'])]));
    expect(plan.copies.map((c) => [c.chunkId, c.urgency])).toEqual([
      ['c1', 'endangered'],
      ['c2', 'endangered'],
      ['c1', 'below-policy'],
      ['c2', 'below-policy'],
    ]);
    expect(plan.summary).toMatchObject({
      below: { endangered: 2, 'below-half': 0, 'below-policy': 0 },
      planned: { endangered: 2, 'below-half': 0, 'below-policy': 2 },
    });
    expect(plan.summary.text).toBe('4 copies planned (2 endangered, 2 below policy).');
  });
});

describe('the urgency', () => {
  it.each([
    [1, 'endangered'],
    [2, 'below-half'],
    [3, 'below-policy'],
    [5, 'below-policy'],
  ])('of %d pieces of 6 is %s', (pieces, urgency) => {
    const keepers = live('a', 'b', 'c', 'd', 'e', 'f');
    const holders = keepers.slice(0, pieces).map((k) => k.keeperId);
    const chunk = replicated('c1', holders, { policy: { pieces: 6, needed: 1, minWrite: 2 } });
    expect(planRepair(view(keepers, [chunk])).copies[0]?.urgency).toBe(urgency);
  });
});

describe('a target', () => {
  it('is in a zone of its own where there is one', () => {
    const keepers = [
      keeper('a', { zone: 'x' }),
      keeper('b', { zone: 'y' }),
      keeper('same zone', { zone: 'x', freeBytes: 900 * MIB }),
      keeper('new zone', { zone: 'z', freeBytes: 10 * MIB }),
    ];
    expect(planRepair(view(keepers, [replicated('c1', ['a', 'b'])])).copies).toMatchObject([
      { targetKeeperId: 'new zone' },
    ]);
  });

  it('may be in the zone of a piece that was lost', () => {
    const keepers = [
      keeper('a', { zone: 'x' }),
      keeper('b', { zone: 'y' }),
      lost('c', { zone: 'z' }),
      keeper('d', { zone: 'x' }),
      keeper('e', { zone: 'z' }),
    ];
    expect(planRepair(view(keepers, [replicated('c1', ['a', 'b', 'c'])])).copies).toMatchObject([
      { targetKeeperId: 'e' },
    ]);
  });

  it.each([
    ['silent', { state: 'suspect' }],
    ['resting', { state: 'maintenance' }],
    ['read-only', { storageWritable: false }],
    ['full', { freeBytes: MIB - 1 }],
    ['promised away', { freeBytes: 2 * MIB, reservedBytes: 1.5 * MIB }],
  ] as const)('is not a keeper that is %s', (_, changes) => {
    const plan = planRepair(view([...live('a', 'b'), keeper('c', changes)], [replicated('c1', ['a', 'b'])]));
    expect(plan).toMatchObject({
      copies: [],
      blocked: [{ chunkId: 'c1', reason: 'no target with room' }],
      summary: { blocked: { 'no target with room': 1 } },
    });
    expect(plan.summary.text).toContain('add a keeper or free space');
  });

  it('has room for all that is planned and in flight together', () => {
    const keepers = [...live('a', 'b'), keeper('c', { freeBytes: 10 * MIB })];
    const chunks = ['c1', 'c2', 'c3'].map((chunkId) => replicated(chunkId, ['a', 'b']));
    const limits = { ...DEFAULT_REPAIR_LIMITS, ordinary: { perTarget: 99, perSource: 99, total: 99 } };
    const plan = planRepair(view(keepers, chunks, { limits, inFlight: [copy('c1', 'c')] }));
    expect(plan.copies.map((c) => c.chunkId)).toEqual(['c2']);
    expect(plan.blocked).toEqual([{ chunkId: 'c3', reason: 'no target with room' }]);
    expect(plan.summary.inFlight).toBe(1);
  });
});

describe('a source', () => {
  it('is a keeper that answers: idle ones first, doubtful pieces after, silent keepers last', () => {
    const keepers = [
      keeper('busy', { copiesAsSource: 1 }),
      keeper('silent', { state: 'suspect' }),
      keeper('doubtful'),
      keeper('idle'),
      keeper('resting', { state: 'maintenance' }),
      keeper('target'),
    ];
    const pieces = ['busy', 'silent', 'doubtful', 'idle', 'resting'].map((keeperId) => ({
      keeperId,
      pieceIndex: 0,
      state: keeperId === 'doubtful' ? ('suspect' as const) : ('durable' as const),
    }));
    const chunk = replicated('c1', [], { pieces, policy: { pieces: 6, needed: 1, minWrite: 2 } });
    expect(planned(view(keepers, [chunk]))).toEqual([
      'c1: idle,busy,doubtful,silent > target (below-policy)',
    ]);
  });

  it.each(['suspect', 'maintenance'] as const)(
    'is missing where only a keeper that is %s is left',
    (state) => {
      const plan = planRepair(view([keeper('a', { state }), keeper('b')], [replicated('c1', ['a'])]));
      expect(plan.blocked).toEqual([{ chunkId: 'c1', reason: 'no source' }]);
      expect(plan.summary.text).toContain('no source');
    },
  );

  it('may have a storage that cannot be written', () => {
    const keepers = [keeper('a', { storageWritable: false }), keeper('b')];
    const chunk = replicated('c1', ['a'], { policy: { pieces: 2, needed: 1, minWrite: 1 } });
    expect(planned(view(keepers, [chunk]))).toEqual(['c1: a > b (endangered)']);
  });

  it('spreads the work over those that have the piece', () => {
    const chunks = ['c1', 'c2', 'c3', 'c4'].map((chunkId) => replicated(chunkId, ['a', 'b']));
    const firsts = planRepair(view(live('a', 'b', 'c', 'd', 'e'), chunks)).copies.map(
      (c) => c.sourceKeeperIds[0],
    );
    expect(firsts).toEqual(['a', 'b', 'a', 'b']);
  });
});

describe('the budget', () => {
  const chunks = (count: number, keeperIds: string[]) =>
    Array.from({ length: count }, (_, index) => replicated(`c${index}`, keeperIds));

  it('is two copies to a keeper', () => {
    const toOne = planRepair(
      view([...live('a', 'b'), keeper('c', { copiesAsTarget: 1 })], chunks(3, ['a', 'b'])),
    );
    expect(toOne.copies).toHaveLength(1);
    expect(toOne.summary.blocked.budget).toBe(2);
    expect(toOne.summary.text).toContain('as soon as copies in flight are done');
  });

  it('is thirty-two small copies to a keeper and from one, in the place of two', () => {
    const small = chunks(40, ['a', 'b']).map((chunk) => ({ ...chunk, lengthBytes: 16 * 1024 }));
    const plan = planRepair(view([...live('a', 'b', 'c')], small));
    expect(plan.copies).toHaveLength(32);
    expect(plan.summary.blocked.budget).toBe(8);
    const fromOne = [keeper('a'), keeper('b', { state: 'maintenance' }), ...live('c', 'd', 'e')];
    expect(planRepair(view(fromOne, small)).copies).toHaveLength(32);
  });

  it('is filled by bytes: a piece of a megabyte is a quarter of a copy', () => {
    const pieces = chunks(12, ['a', 'b']).map((chunk) => ({ ...chunk, lengthBytes: MIB }));
    expect(planRepair(view([...live('a', 'b', 'c')], pieces)).copies).toHaveLength(8);
  });

  it('is two copies from a keeper', () => {
    const keepers = [keeper('a'), keeper('b', { state: 'maintenance' }), ...live('c', 'd', 'e')];
    expect(planRepair(view(keepers, chunks(5, ['a', 'b']))).copies).toHaveLength(2);
  });

  it('is four for the endangered, also at a keeper that is busy with others', () => {
    const pair = { policy: { pieces: 2, needed: 1, minWrite: 1 } };
    const alone = Array.from({ length: 6 }, (_, index) => replicated(`c${index}`, ['a'], pair));
    expect(planRepair(view(live('a', 'b', 'c'), alone)).copies).toHaveLength(4);
    const busy = [keeper('a', { copiesAsSource: 2 }), keeper('b', { copiesAsTarget: 2 })];
    expect(planRepair(view(busy, alone)).copies).toHaveLength(2);
  });

  it('has a total, of which the endangered have more', () => {
    const limits = {
      ...DEFAULT_REPAIR_LIMITS,
      ordinary: { perTarget: 9, perSource: 9, total: 2 },
      endangered: { perTarget: 9, perSource: 9, total: 3 },
    };
    const inFlight = [copy('x', 'c'), copy('y', 'c')];
    const keepers = live('a', 'b', 'c', 'd');
    expect(planned(view(keepers, chunks(3, ['a', 'b']), { limits, inFlight }))).toEqual([]);
    const plan = planRepair(view(keepers, chunks(3, ['a']), { limits, inFlight }));
    expect(plan.copies.map((c) => c.urgency)).toEqual(['endangered']);
    expect(plan.summary.blocked.budget).toBe(3);
  });
});

describe('copies in flight', () => {
  it('are not planned again, and the chunk stays on the queue', () => {
    const plan = planRepair(
      view(live('a', 'b', 'c', 'd'), [replicated('c1', ['a', 'b'])], { inFlight: [copy('c1', 'c')] }),
    );
    expect(plan).toMatchObject({ copies: [], healthyChunkIds: [], blocked: [], summary: { inFlight: 1 } });
    expect(plan.summary.text).toBe('No copies planned. 1 chunk being completed.');
  });

  it('of an endangered chunk make the next one less urgent', () => {
    const repairView = view(live('a', 'b', 'c'), [replicated('c1', ['a'])], { inFlight: [copy('c1', 'b')] });
    expect(planned(repairView)).toEqual(['c1: a > c (below-policy)']);
  });

  it('to a keeper that died are not waited for', () => {
    const keepers = [...live('a', 'b', 'd'), lost('c')];
    const repairView = view(keepers, [replicated('c1', ['a', 'b'])], { inFlight: [copy('c1', 'c')] });
    expect(planRepair(repairView).copies).toMatchObject([{ targetKeeperId: 'd' }]);
  });

  it('that are recorded already count once', () => {
    const repairView = view(live('a', 'b', 'c'), [replicated('c1', ['a', 'b'])], {
      inFlight: [copy('c1', 'b')],
    });
    expect(planRepair(repairView).copies).toMatchObject([{ targetKeeperId: 'c' }]);
  });
});

describe('the brake', () => {
  const justLost = (keeperId: string) => lost(keeperId, { deadSinceMs: NOW_MS - 1_000 });
  const chunks = [replicated('two left', ['a', 'b', 'x']), replicated('one left', ['a', 'x', 'y'])];

  it('lets only the endangered through, and only until they have a spare piece', () => {
    const keepers = [...live('a', 'b', 'c', 'd'), justLost('x'), justLost('y')];
    const plan = planRepair(view(keepers, chunks));
    expect(plan.copies.map((c) => [c.chunkId, c.urgency])).toEqual([['one left', 'endangered']]);
    expect(plan.summary).toMatchObject({ braked: true, blocked: { brake: 2 } });
    expect(plan.summary.text).toContain('the brake holds');
  });

  it('does not hold for a quarter of the keepers', () => {
    const keepers = [...live('a', 'b', 'c', 'd', 'e', 'f'), justLost('x'), justLost('y')];
    expect(planRepair(view(keepers, chunks))).toMatchObject({ summary: { braked: false } });
  });

  it('does not hold for a single keeper of a small cluster', () => {
    expect(planRepair(view([...live('a', 'b'), justLost('x')], [])).summary.braked).toBe(false);
  });

  it('does not hold for keepers in whose place others are', () => {
    const wiped = ['x', 'y'].map((id) => lost(id, { deadSinceMs: NOW_MS - 1_000, succeeded: true }));
    const keepers = [...live('a', 'b', 'c', 'd'), ...wiped];
    expect(planRepair(view(keepers, chunks)).summary.braked).toBe(false);
    expect(planRepair(view([...keepers, justLost('z')], chunks)).summary.braked).toBe(false);
    expect(planRepair(view([...keepers, justLost('z'), justLost('w')], chunks)).summary.braked).toBe(true);
  });

  it('ends ten minutes after the last loss', () => {
    const at = (deadSinceMs: number) => {
      const keepers = [...live('a', 'b', 'c', 'd'), ...['x', 'y'].map((id) => lost(id, { deadSinceMs }))];
      return planRepair(view(keepers, chunks)).summary.braked;
    };
    expect(at(NOW_MS - 599_999)).toBe(true);
    expect(at(NOW_MS - 600_000)).toBe(false);
  });

  it('does not count the long dead as keepers', () => {
    const old = Array.from({ length: 20 }, (_, index) => lost(`old ${index}`));
    const keepers = [...live('a', 'b', 'c', 'd'), ...old, justLost('x'), justLost('y')];
    expect(planRepair(view(keepers, chunks)).summary.braked).toBe(true);
  });
});

describe('safe mode', () => {
  it('plans nothing, takes nothing off the queue, and says so', () => {
    const chunks = [replicated('c1', ['a']), replicated('c2', ['a', 'b', 'c'])];
    const plan = planRepair(view(live('a', 'b', 'c'), chunks, { safeMode: true }));
    expect(plan).toMatchObject({ copies: [], healthyChunkIds: [], blocked: [], summary: { safeMode: true } });
    expect(plan.summary.text).toContain('Safe mode');
  });
});

describe('a coded chunk', () => {
  const keepers = live('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');

  it('gets exactly the pieces that it lacks, from as many sources as it needs', () => {
    const plan = planRepair(view(keepers, [coded('c1', ['a', 'b', '', 'd', 'e', ''])]));
    expect(plan.copies.map((c) => [c.pieceIndex, c.urgency])).toEqual([
      [2, 'endangered'],
      [5, 'below-policy'],
    ]);
    for (const planned of plan.copies) {
      expect(planned).toMatchObject({ pieceBytes: MIB, sourcesNeeded: 4 });
      expect([...planned.sourceKeeperIds].sort()).toEqual(['a', 'b', 'd', 'e']);
    }
  });

  it('is unreadable below the needed pieces', () => {
    expect(planRepair(view(keepers, [coded('c1', ['a', 'b', 'c', '', '', ''])])).summary.unreadable).toBe(1);
  });

  it('counts the same piece twice once', () => {
    const chunk = coded('c1', ['a', 'b', 'c', 'd', '', '']);
    const pieces = [...chunk.pieces, { keeperId: 'e', pieceIndex: 0, state: 'durable' as const }];
    const plan = planRepair(view(keepers, [{ ...chunk, pieces }]));
    expect(plan.summary.below.endangered).toBe(1);
    expect(plan.copies.map((c) => c.pieceIndex)).toEqual([4, 5]);
  });

  it('waits where too few of its keepers answer, or too few have time', () => {
    const silent = keepers.map((k) => (k.keeperId === 'a' ? { ...k, state: 'suspect' as const } : k));
    const chunk = coded('c1', ['a', 'b', 'c', 'd', '', '']);
    expect(planRepair(view(silent, [chunk])).blocked).toMatchObject([{ reason: 'no source' }]);
    const busy = keepers.map((k) => (k.keeperId === 'a' ? { ...k, copiesAsSource: 4 } : k));
    expect(planRepair(view(busy, [chunk])).blocked).toMatchObject([{ reason: 'budget' }]);
  });

  it('does not plan the piece that is in flight', () => {
    const chunk = coded('c1', ['a', 'b', 'c', 'd', '', '']);
    const plan = planRepair(view(keepers, [chunk], { inFlight: [copy('c1', 'e', { pieceIndex: 4 })] }));
    expect(plan.copies.map((c) => [c.pieceIndex, c.targetKeeperId === 'e'])).toEqual([[5, false]]);
  });
});

describe('a keeper that is being emptied', () => {
  const draining = keeper('c', { draining: true });

  it('has its pieces copied elsewhere, also from it, after everything that lacks a piece', () => {
    const chunks = [replicated('c1', ['a', 'b', 'c']), replicated('c2', ['a', 'c'])];
    const { copies, summary } = planRepair(view([...live('a', 'b', 'd', 'e'), draining], chunks));
    expect(copies.map((each) => `${each.chunkId} ${each.urgency}`)).toEqual([
      'c2 below-policy',
      'c1 draining',
      'c2 draining',
    ]);
    expect(copies.find((each) => each.chunkId === 'c1')?.sourceKeeperIds).toContain('c');
    expect(summary.below).toMatchObject({ 'below-policy': 1, draining: 1 });
  });

  it('takes no piece, and what is on it alone is endangered only if it is the last', () => {
    const plan = planRepair(view([...live('a'), draining], [replicated('c1', ['a'])]));
    expect(plan).toMatchObject({ copies: [], blocked: [{ chunkId: 'c1', reason: 'no target with room' }] });
    const last = planRepair(view([...live('a', 'b', 'd'), draining], [replicated('c1', ['c'])]));
    expect(last.copies.map((each) => each.urgency)).toEqual(['endangered', 'below-policy']);
  });

  it('is waited for: a chunk whose copy is under way is neither complete nor one too many', () => {
    const keepers = [...live('a', 'b', 'd'), draining];
    const inFlight = [copy('c1', 'd')];
    const plan = planRepair(view(keepers, [replicated('c1', ['a', 'b', 'c'])], { inFlight }));
    expect(plan).toMatchObject({ copies: [], healthyChunkIds: [], surplusChunkIds: [] });
    const done = planRepair(view(keepers, [replicated('c1', ['a', 'b', 'c', 'd'])]));
    expect(done.surplusChunkIds).toEqual(['c1']);
  });
});

describe('a chunk with two pieces in a zone', () => {
  const zoned = (...ids: string[]) => ids.map((id) => keeper(id, { zone: id[0]! }));
  const chunk = replicated('c', ['x1', 'x2', 'y1']);

  it('gets one in another zone that has room, last of all', () => {
    const chunks = [chunk, replicated('d', ['x1', 'y1'])];
    const { copies, summary } = planRepair(view(zoned('x1', 'x2', 'x3', 'y1', 'y2', 'z1'), chunks));
    expect(copies.map((each) => `${each.chunkId} ${each.urgency}`)).toEqual([
      'd below-policy',
      'c badly-placed',
    ]);
    expect(copies[1]?.targetKeeperId).toBe('z1');
    expect(summary.below['badly-placed']).toBe(1);
  });

  it('is as it should be where no other zone has room', () => {
    for (const others of [[], [keeper('z1', { zone: 'z', freeBytes: 1 })]]) {
      const plan = planRepair(view([...zoned('x1', 'x2', 'x3', 'y1', 'y2'), ...others], [chunk]));
      expect(plan).toMatchObject({ copies: [], healthyChunkIds: ['c'] });
    }
  });

  it('is not moved twice', () => {
    const inFlight = [copy('c', 'z1')];
    const plan = planRepair(view(zoned('x1', 'x2', 'y1', 'z1', 'w1'), [chunk], { inFlight }));
    expect(plan).toMatchObject({ copies: [], healthyChunkIds: [], summary: { inFlight: 1 } });
  });
});

it('sends no piece to a keeper that is still to trash one of the chunk', () => {
  const chunk = replicated('c', ['a', 'b'], { barredKeeperIds: ['c'] });
  expect(planRepair(view(live('a', 'b', 'c'), [chunk])).blocked).toMatchObject([
    { reason: 'no target with room' },
  ]);
  expect(planRepair(view(live('a', 'b', 'c', 'd'), [chunk])).copies).toMatchObject([{ targetKeeperId: 'd' }]);
});
