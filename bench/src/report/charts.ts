/** Which charts are made of the results. */
import { caseWords, type Sample, type Workload } from '../samples.js';
import { product, type Row, rowsOf } from './rows.js';
import type { Chart } from './svg.js';

export interface NamedChart {
  /** Of the file: 'big-down-to-file.svg'. */
  readonly fileName: string;
  readonly chart: Chart;
}

/** One for each action of a workload, with a group for each case; none for the machine's own floors. */
export function chartsOf(samples: readonly Sample[], workload: Workload): NamedChart[] {
  if (workload === 'machine') return [];
  const rows = rowsOf(samples, workload);
  const actions = [...new Set(rows.map((row) => row.case.action))];
  return actions.map((action) => {
    const own = rows.filter((row) => row.case.action === action);
    return {
      fileName: `${workload}-${action.replaceAll(/[ ,]+/g, '-')}.svg`,
      chart: { title: `${workload}: ${action}`, unit: own[0]?.unit ?? '', groups: groupsOf(own) },
    };
  });
}

function groupsOf(rows: readonly Row[]): Chart['groups'] {
  const byCase = new Map<string, Row[]>();
  for (const row of rows) {
    const name = caseWords(row.case);
    byCase.set(name, [...(byCase.get(name) ?? []), row]);
  }
  return [...byCase].map(([name, own]) => ({
    name,
    bars: own.map(({ subject, rate }) => ({ name: subject, value: rate, accented: subject === product })),
  }));
}
