import { describe, expect, it } from '@jest/globals';
import { type PressureView, pressureOn } from '../../src/trash/pressure.js';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

function view(freeGiB: readonly number[], more: Partial<PressureView> = {}): PressureView {
  const keepers = freeGiB.map((free) => ({ totalBytes: 40 * GiB, freeBytes: free * GiB, reservedBytes: 0 }));
  return { keepers, pieces: 3, chunkSizeBytes: 16 * MiB, retiredBytes: 0, refused: false, ...more };
}

const bytesToGiveUp = (of: PressureView): number => pressureOn(of).giveUpBytes;

describe('the trash gives way', () => {
  it('to nothing while as many keepers have room as a chunk needs', () => {
    expect(bytesToGiveUp(view([2, 2, 2]))).toBe(0);
    expect(bytesToGiveUp(view([0, 0, 10, 2, 30]))).toBe(0);
    expect(bytesToGiveUp(view([]))).toBe(0);
  });

  it('until these have twice what is short', () => {
    expect(bytesToGiveUp(view([1, 1, 1]))).toBe(3 * GiB);
    // One of the three is short; all are brought to 4 GiB.
    expect(bytesToGiveUp(view([1, 3, 30]))).toBe(Math.ceil((4 / 3) * GiB));
    expect(bytesToGiveUp(view([1, 1]))).toBe(3 * GiB);
    // Of what is given up, a keeper in six gets half back.
    expect(bytesToGiveUp(view([1, 1, 1, 1, 1, 1]))).toBe(6 * GiB);
  });

  it('less what was given up and is not back yet', () => {
    expect(bytesToGiveUp(view([1, 1, 1], { retiredBytes: 2 * GiB }))).toBe(GiB);
    const enough = view([0, 0, 0], { retiredBytes: 9 * GiB });
    expect(pressureOn(enough)).toEqual({ isShort: true, giveUpBytes: 0 });
    expect(pressureOn(view([2, 2, 2]))).toEqual({ isShort: false, giveUpBytes: 0 });
  });

  it('also to what is promised already, and to an upload that found no room', () => {
    const keepers = [{ totalBytes: 40 * GiB, freeBytes: 2 * GiB, reservedBytes: GiB }];
    expect(bytesToGiveUp(view([], { keepers }))).toBe(3 * GiB);
    expect(bytesToGiveUp(view([30, 30, 30], { refused: true }))).toBe(2 * GiB);
  });

  it('early on small disks, late on big ones', () => {
    const keeper = (totalBytes: number, freeBytes: number) =>
      bytesToGiveUp(view([], { keepers: [{ totalBytes, freeBytes, reservedBytes: 0 }] }));
    expect(keeper(100 * MiB, 63 * MiB)).toBe(65 * MiB);
    expect(keeper(1_000 * GiB, 4 * GiB)).toBe(0);
    expect(keeper(1_000 * GiB, 3 * GiB)).toBe(5 * GiB);
  });
});
