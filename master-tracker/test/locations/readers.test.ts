import { beforeEach, describe, expect, it } from '@jest/globals';
import { Readers } from '../../src/locations/readers.js';
import { ManualClock } from '../support/manual-clock.js';

const holdMs = 1_000;

describe('who reads', () => {
  let clock: ManualClock;
  let readers: Readers;
  beforeEach(() => {
    clock = new ManualClock();
    readers = new Readers({ clock, lastVersion: 10, holdMs, maxRemembered: 3 });
  });

  it('is known from the last time that somebody asked', () => {
    readers.note(11);
    clock.advance(600);
    readers.note(11);
    clock.advance(600);
    expect([11, 12].map((version) => readers.mayBeRead(version))).toEqual([true, false]);
    clock.advance(400);
    expect(readers.mayBeRead(11)).toBe(false);
  });

  it('is not known of what was there before the start, for as long', () => {
    expect([10, 11].map((version) => readers.mayBeRead(version))).toEqual([true, false]);
    clock.advance(holdMs);
    expect(readers.mayBeRead(10)).toBe(false);
  });

  it('is never denied for want of memory', () => {
    clock.advance(holdMs);
    for (const version of [11, 12, 13]) readers.note(version);
    expect(readers.mayBeRead(5)).toBe(false);
    clock.advance(500);
    readers.note(14);
    // The first was forgotten: all up to it count as read for as long as it would.
    expect([5, 11, 12, 15].map((version) => readers.mayBeRead(version))).toEqual([true, true, true, false]);
    clock.advance(500);
    expect([5, 11, 12, 14].map((version) => readers.mayBeRead(version))).toEqual([false, false, false, true]);
  });
});
