/** The tables of the results, in Markdown, which people also read on a terminal. */
import { caseWords, type Sample, type Workload } from '../samples.js';
import { comparisonsOf } from './comparisons.js';
import { product, type Row, rowsOf } from './rows.js';
import { figure, megabytes, spreadWords } from './words.js';

/** Titles of a sample's details; others are shown by their names. */
const detailTitles: Readonly<Record<string, string>> = {
  firstByteP50Ms: 'first byte p50 ms',
  firstByteP99Ms: 'first byte p99 ms',
  p50Ms: 'p50 ms',
  p99Ms: 'p99 ms',
  meanMbPerSecond: 'mean client MB/s',
  slowestMbPerSecond: 'slowest MB/s',
  slowestOverMean: 'slowest / mean',
};

/** A table of one workload: all its cases and subjects. Columns that would be empty are left out. */
export function workloadTable(samples: readonly Sample[], workload: Workload): string {
  const rows = rowsOf(samples, workload);
  const details = [...new Set(rows.flatMap((row) => [...row.details.keys()]))];
  const countsBytes = rows.every(({ unit }) => unit === 'MB/s');
  const columns: readonly (readonly [title: string, cell: (row: Row) => string])[] = [
    ['case', (row) => caseWords(row.case)],
    ['subject', (row) => row.subject],
    ['rate', (row) => `${spreadWords(row.rate)} ${row.unit}`],
    [`${product} / it`, (row) => (row.productRatio ? spreadWords(row.productRatio) : '')],
    ...details.map((name) => {
      const cell = ({ details: own }: Row): string => figure(own.get(name));
      return [detailTitles[name] ?? name, cell] as const;
    }),
    [countsBytes ? 'CPU s/GB' : 'CPU s/GB or s/1000', ({ cpuSeconds }) => cpuWords(cpuSeconds)],
    ['peak MB', ({ peakBytes }) => joined(peakBytes, megabytes)],
  ];
  const shown = columns.filter(([, cell]) => rows.some((row) => cell(row) !== ''));
  return markdownTable(
    shown.map(([title]) => title),
    rows.map((row) => shown.map(([, cell]) => cell(row))),
  );
}

/** What is compared beyond equal cases; '' if there is nothing. */
export function comparisonTable(samples: readonly Sample[], workload: Workload): string {
  const rows = comparisonsOf(samples, workload).map(({ words, ratio }) => [words, spreadWords(ratio)]);
  return rows.length === 0 ? '' : markdownTable(['ratio', 'median [min–max]'], rows);
}

function cpuWords(byRole: ReadonlyMap<string, number>): string {
  if (byRole.size === 0) return '';
  const sum = [...byRole.values()].reduce((total, seconds) => total + seconds, 0);
  return byRole.size === 1 ? figure(sum) : `${figure(sum)} (${joined(byRole, figure)})`;
}

function joined(values: ReadonlyMap<string, number>, words: (value: number) => string): string {
  return [...values].map(([name, value]) => `${name} ${words(value)}`).join(', ');
}

/** Columns are padded, so that it can be read as it is. */
export function markdownTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = titles.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(titles), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
