import { describe, expect, it } from '@jest/globals';
import { findKeeper } from '../src/cluster/find-keeper.js';

const keeper = (start: string, address: string) => ({ keeperId: start.padEnd(32, '0'), address });
const keepers = [
  keeper('abc1', 'a.lan:7501'),
  keeper('abc2', 'b.lan:7501'),
  keeper('d', 'c.lan:7501'),
  keeper('e', 'c.lan:7501'),
];

describe('a keeper is found by', () => {
  it.each<[string, number]>([
    ['abc1'.padEnd(32, '0'), 0],
    ['abc1', 0],
    ['ABC2', 1],
    ['d', 2],
    ['b.lan:7501', 1],
  ])('%s', (text, index) => {
    expect(findKeeper(keepers, text)).toBe(keepers[index]);
  });

  it.each<[string, string, RegExp]>([
    ['abc', 'INVALID_ARGUMENT', /abc1000.*a\.lan:7501, abc2000/],
    ['c.lan:7501', 'INVALID_ARGUMENT', /more of its id/],
    ['f', 'NOT_FOUND', /abc10000 at a\.lan:7501/],
    ['', 'NOT_FOUND', /beginning of its id/],
    ['a.lan', 'NOT_FOUND', /its address/],
  ])('but not by %j (%s)', (text, code, remedy) => {
    expect(() => findKeeper(keepers, text)).toThrow(
      expect.objectContaining({ code, remedy: expect.stringMatching(remedy) }),
    );
  });

  it('in an empty cluster none', () => {
    expect(() => findKeeper([], 'a')).toThrow(/no keeper/);
  });
});
