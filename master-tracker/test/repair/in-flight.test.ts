import { describe, expect, it } from '@jest/globals';
import { COPY_TIMEOUT_MS, InFlightTable, MAX_COPIES_IN_FLIGHT } from '../../src/repair/in-flight.js';
import { DEFAULT_REPAIR_LIMITS } from '../../src/repair/repair-view.js';
import { copy } from './fixtures.js';

describe('InFlightTable', () => {
  it('holds one copy for a chunk and a target', () => {
    const table = new InFlightTable();
    expect(table.add(copy('c1', 'b'))).toBe('added');
    expect(table.add(copy('c1', 'b', { startedMs: 5 }))).toBe('duplicate');
    expect(table.add(copy('c1', 'c'))).toBe('added');
    expect(table.add(copy('c2', 'b'))).toBe('added');
    expect(table.list().map((entry) => `${entry.chunkId} to ${entry.targetKeeperId}`)).toEqual([
      'c1 to b',
      'c1 to c',
      'c2 to b',
    ]);
  });

  it('takes no more than its limit, and more again once a copy is done', () => {
    const table = new InFlightTable({ limit: 1 });
    table.add(copy('c1', 'b'));
    expect(table.add(copy('c2', 'b'))).toBe('full');
    expect(table.complete('c1', 'b')).toEqual(copy('c1', 'b'));
    expect(table.add(copy('c2', 'b'))).toBe('added');
    expect(table.size).toBe(1);
  });

  it('is never the limit of a planner with the default limits', () => {
    expect(MAX_COPIES_IN_FLIGHT).toBeGreaterThan(DEFAULT_REPAIR_LIMITS.endangered.total);
  });

  it('does not mind the end of a copy that it does not know', () => {
    expect(new InFlightTable().complete('c1', 'b')).toBeUndefined();
  });

  it('gives a copy up when its time is over', () => {
    const table = new InFlightTable();
    table.add(copy('c1', 'b', { startedMs: 1_000 }));
    table.add(copy('c2', 'b', { startedMs: 2_000 }));
    expect(table.expire(1_000 + COPY_TIMEOUT_MS - 1)).toEqual([]);
    expect(table.expire(1_000 + COPY_TIMEOUT_MS).map((entry) => entry.chunkId)).toEqual(['c1']);
    expect(table.list().map((entry) => entry.chunkId)).toEqual(['c2']);
  });

  it('drops what a lost keeper was to get, and what only it could give', () => {
    const table = new InFlightTable();
    table.add(copy('to it', 'x'));
    table.add(copy('only from it', 'b', { sourceKeeperIds: ['x'] }));
    table.add(copy('from it first', 'c', { sourceKeeperIds: ['x', 'a'] }));
    table.add(copy('coded', 'd', { sourceKeeperIds: ['x', 'a'], sourcesNeeded: 2 }));
    table.add(copy('other', 'e'));
    expect(table.dropKeeper('x').map((entry) => entry.chunkId)).toEqual(['to it', 'only from it', 'coded']);
    expect(table.list().map((entry) => entry.sourceKeeperIds)).toEqual([['a'], ['a']]);
  });

  it('counts targets, and sources without their stand-ins', () => {
    const table = new InFlightTable();
    table.add(copy('c1', 'b', { sourceKeeperIds: ['a', 'c'] }));
    table.add(copy('c2', 'b', { sourceKeeperIds: ['d', 'a', 'c'], sourcesNeeded: 2 }));
    expect(Object.fromEntries(table.countsByKeeper())).toEqual({
      a: { asTarget: 0, asSource: 2 },
      b: { asTarget: 2, asSource: 0 },
      d: { asTarget: 0, asSource: 1 },
    });
  });
});
