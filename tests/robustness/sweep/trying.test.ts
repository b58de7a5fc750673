/** A sweep that hits nothing has looked at nothing: it fails. */
import { describe, expect, it } from '@jest/globals';
import { numbersFrom } from '../../support/seeded-numbers.js';
import { type Target, countPoints, sweep, tryOne } from './trying.js';

/** A place whose calls were measured, and of which these can be hit. Notes what is tried. */
function place(counts: Record<string, number>, isHit: (call: string, number: number) => boolean) {
  const tried: string[] = [];
  const target: Target = {
    name: 'kill/keeper/upload',
    measure: () => Promise.resolve(new Map(Object.entries(counts))),
    hit: (call, number) => {
      tried.push(`${call} ${number}`);
      return Promise.resolve(isHit(call, number));
    },
  };
  return { target, tried };
}

describe('one point', () => {
  it('is one of those that were measured', async () => {
    const { target, tried } = place({ fsync: 3 }, () => true);
    await tryOne(target, () => 2);
    expect(tried).toEqual(['fsync 3']);
  });

  it('is the first of its call when there were fewer this time', async () => {
    const { target, tried } = place({ fsync: 3 }, (_, number) => number < 3);
    await tryOne(target, () => 2);
    expect(tried).toEqual(['fsync 3', 'fsync 1']);
  });

  it('has to be hit', async () => {
    const { target } = place({ fsync: 3 }, () => false);
    await expect(tryOne(target, numbersFrom(1))).rejects.toThrow('kill/keeper/upload/fsync');
  });

  it('is another one if its call is made only now and then', async () => {
    const { target, tried } = place({ pread64: 1, fsync: 1 }, (call) => call === 'fsync');
    await tryOne(target, () => 0);
    expect(tried).toEqual(['pread64 1', 'pread64 1', 'fsync 1']);
  });

  it('is there', async () => {
    const { target } = place({}, () => true);
    await expect(tryOne(target, numbersFrom(1))).rejects.toThrow('none of the calls');
  });
});

describe('all points', () => {
  it('go on after one that was missed, and past what was measured', async () => {
    const { target, tried } = place({ fsync: 3, rename: 1 }, (call, number) =>
      call === 'fsync' ? [1, 3, 4].includes(number) : number === 1,
    );
    expect(await sweep(target)).toBe('kill/keeper/upload: fsync hit 3 of 4, rename hit 1 of 1');
    expect(tried.filter((each) => each.startsWith('fsync'))).toEqual(
      [1, 2, 3, 4, 5].map((number) => `fsync ${number}`),
    );
  });

  it('are some of many like ones', async () => {
    const { target, tried } = place({ mkdir: 258 }, (_, number) => number <= 258);
    expect(await sweep(target)).toMatch('mkdir hit 11 of 11');
    expect(tried.slice(0, 3)).toEqual(['mkdir 1', 'mkdir 26', 'mkdir 51']);
    expect(tried.slice(-2)).toEqual(['mkdir 251', 'mkdir 276']);
    expect(await countPoints(target)).toBe('kill/keeper/upload: 11 points: mkdir 11');
  });

  it('fail if a call was never hit', async () => {
    const { target } = place({ fsync: 2, rename: 1 }, () => false);
    await expect(sweep(target)).rejects.toThrow('fsync hit 0 of 2, rename hit 0 of 1');
  });

  it('begin with the first once more if none was hit', async () => {
    const { target, tried } = place({ unlink: 1 }, () => tried.length === 3);
    expect(await sweep(target)).toBe('kill/keeper/upload: unlink hit 1 of 1');
    expect(tried).toEqual(['unlink 1', 'unlink 2', 'unlink 1']);
  });

  it('do not fail for a call that is made only now and then, unless it is asked for', async () => {
    const { target } = place({ fsync: 1, pread64: 2 }, (call, number) => call === 'fsync' && number === 1);
    expect(await sweep(target)).toBe('kill/keeper/upload: fsync hit 1 of 1, pread64 hit 0 of 2');
    await expect(sweep(target, 'pread64')).rejects.toThrow('never hit');
  });

  it('fail if there are none, or none of the call that is asked for', async () => {
    await expect(sweep(place({}, () => false).target)).rejects.toThrow('none of the calls');
    await expect(sweep(place({ fsync: 1 }, () => false).target, 'rename')).rejects.toThrow(
      'makes fsync, no rename',
    );
  });
});
