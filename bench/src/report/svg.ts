/**
 * Bar charts as SVG, for pages: a bar to the median, a whisker from the smallest to the largest figure. Readable
 * on light and on dark pages, because colours follow the reader's scheme.
 */
import type { Spread } from '../stats.js';
import { figure } from './words.js';

export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly Group[];
}

interface Group {
  readonly name: string;
  readonly bars: readonly Bar[];
}

interface Bar {
  readonly name: string;
  readonly value: Spread;
  /** Drawn in the colour that stands out. */
  readonly accented: boolean;
}

// In pixels. Labels of up to some 20 letters fit on the left, figures on the right.
const width = 720;
const labelWidth = 150;
const figureWidth = 150;
const barHeight = 16;
const rowHeight = 22;
const groupGap = 28;
const top = 36;

/** A bar that much longer than the next is cut: the others would be too short to compare. */
const cutFactor = 2.5;

const style = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 14px; font-weight: 600; }
  .group { font-weight: 600; }
  .bar { fill: #8c959f; }
  .accented { fill: #0969da; }
  .whisker { stroke: #1f2328; stroke-width: 1.5; fill: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .bar { fill: #6e7681; }
    .accented { fill: #4493f8; }
    .whisker { stroke: #e6edf3; }
  }`;

/** The end of the scale: the largest figure that is not cut. 0 if there are no bars. */
export function scaleEnd(maxima: readonly number[]): number {
  const sorted = [...maxima].sort((left, right) => right - left);
  while ((sorted[0] ?? 0) > cutFactor * (sorted[1] ?? Infinity)) sorted.shift();
  return sorted[0] ?? 0;
}

/** The text of an SVG file. */
export function barChart({ title, unit, groups }: Chart): string {
  const end = scaleEnd(groups.flatMap(({ bars }) => bars.map(({ value }) => value.max)));
  const room = width - labelWidth - figureWidth;
  const x = (value: number): number => round(labelWidth + (Math.min(value, end) / (end || 1)) * room);
  const lines: string[] = [];
  let y = top;
  for (const { name, bars } of groups) {
    y += groupGap;
    lines.push(`<text class="group" x="0" y="${y - 8}">${escaped(name)}</text>`);
    for (const bar of bars) {
      lines.push(...barLines(bar, y, x, end));
      y += rowHeight;
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 8}" width="${width}" role="img" aria-label="${escaped(title)}">
<style>${style}
</style>
<text class="title" x="0" y="18">${escaped(title)} (${escaped(unit)}; bar: median, whisker: smallest to largest)</text>
${lines.join('\n')}
</svg>
`;
}

function barLines(
  { name, value, accented }: Bar,
  y: number,
  x: (value: number) => number,
  end: number,
): string[] {
  const middle = y + barHeight / 2;
  const { median, min, max } = value;
  const isCut = median > end;
  const label = `<text x="${labelWidth - 8}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`;
  const bar = `<rect class="bar${accented ? ' accented' : ''}" x="${labelWidth}" y="${y}" width="${round(x(median) - labelWidth)}" height="${barHeight}"/>`;
  const whisker = `<path class="whisker" d="M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 4}v8M${x(max)} ${middle - 4}v8"/>`;
  const words = `<text x="${x(max) + 8}" y="${middle + 4}">${isCut ? '→ ' : ''}${figure(median)}</text>`;
  return [label, bar, ...(isCut ? [] : [whisker]), words];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
