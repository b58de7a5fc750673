import { describe, expect, it } from '@jest/globals';
import { barChart, scaleEnd } from '../../src/report/svg.js';

const spread = (median: number, min = median, max = median) => ({ median, min, max, count: 5 });
const chart = (...bars: { name: string; value: ReturnType<typeof spread>; accented: boolean }[]) =>
  barChart({ title: 'up', unit: 'MB/s', groups: [{ name: 'all', bars }] });

/** Widths of the bars, in order. */
function widths(svg: string): number[] {
  return [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width));
}

describe('the scale', () => {
  it.each([
    [[100, 50, 20], 100],
    [[9_000, 500, 400], 500], // or the others would be too short to compare
    [[9_000, 1_000, 500, 10], 1_000],
    [[7], 7],
    [[], 0],
  ])('of %j ends at %d', (maxima, end) => expect(scaleEnd(maxima)).toBe(end));
});

it('bars are as long as their medians', () => {
  const [first, second] = widths(
    chart(
      { name: 'a', value: spread(100), accented: true },
      { name: 'b', value: spread(50), accented: false },
    ),
  );
  expect(first! / second!).toBeCloseTo(2);
});

it('whiskers reach from the smallest to the largest', () => {
  const svg = chart({ name: 'a', value: spread(50, 25, 100), accented: false });
  const [, from, to] = /class="whisker" d="M([\d.]+) \d+H([\d.]+)/.exec(svg)!;
  const [bar] = widths(svg);
  const start = Number(/<rect class="bar" x="(\d+)"/.exec(svg)![1]);
  expect((Number(from) - start) / bar!).toBeCloseTo(0.5);
  expect((Number(to) - start) / bar!).toBeCloseTo(2);
});

it('a bar that is cut says so and has its figure', () => {
  const svg = chart(
    { name: 'far', value: spread(9_000), accented: false },
    { name: 'a', value: spread(100), accented: false },
  );
  expect(svg).toContain('→ 9000');
  const [far, near] = widths(svg);
  expect(far).toBe(near);
});

it('text is escaped, and colours follow the scheme of the reader', () => {
  const svg = chart({ name: '<a & "b">', value: spread(1), accented: true });
  expect(svg).toContain('&lt;a &amp; &quot;b&quot;&gt;');
  expect(svg).toContain('prefers-color-scheme: dark');
});
