/** A profile's summary as tables for people: a column for each process, CPU seconds a GB and percent in the cells. */
import { perfGroups } from './perf.js';
import { type ProcessStep, type ProfileSummary, rows, type StepSummary } from './summary.js';

/** As many as fit on a screen below the table. */
const shownFunctions = 5;

export function tablesOf({ steps, sizeBytes, replicas }: ProfileSummary): string {
  const gigabytes = sizeBytes / 1e9;
  const size = `${(sizeBytes / 2 ** 20).toFixed(0)} MiB`;
  return steps
    .map((step) => {
      const rate = (sizeBytes / 1e6 / step.seconds).toFixed(0);
      const head = `${step.action}: ${size}, ${replicas} copies, ${step.seconds.toFixed(2)} s, ${rate} MB/s`;
      return [head, stepTable(step, gigabytes), ...step.processes.map(hottestLine)].join('\n');
    })
    .join('\n\n');
}

function stepTable({ processes }: StepSummary, gigabytes: number): string {
  const cell = (process: ProcessStep, seconds: number): string => {
    const whole = cpuSeconds(process);
    const percent = whole === 0 ? 0 : (100 * seconds) / whole;
    return `${(seconds / gigabytes).toFixed(3)} ${percent.toFixed(0).padStart(3)} %`;
  };
  const line = (what: string, secondsOf: (process: ProcessStep) => number): string[] => [
    what,
    ...processes.map((process) => cell(process, secondsOf(process))),
  ];
  const lines = [
    ['CPU s/GB, percent', ...processes.map(({ name }) => name)],
    ...rows.map((row) => line(row, (process) => process.cpuSecondsByRow[row] ?? 0)),
    line('all', cpuSeconds),
    line('  in user mode', ({ cpu }) => cpu.userSeconds),
    line('  in the kernel', ({ cpu }) => cpu.systemSeconds),
  ];
  if (processes.some(({ perfShares }) => perfShares !== undefined)) {
    lines.push(['the same by perf']);
    for (const group of perfGroups) {
      lines.push(line(group, (process) => (process.perfShares?.[group] ?? 0) * cpuSeconds(process)));
    }
  }
  return align(lines);
}

function cpuSeconds({ cpu }: ProcessStep): number {
  return cpu.userSeconds + cpu.systemSeconds;
}

function hottestLine(process: ProcessStep): string {
  const whole = cpuSeconds(process);
  const shown = process.hottest.slice(0, shownFunctions).map(({ name, cpuSeconds: seconds }) => {
    return `${name} ${((100 * seconds) / whole).toFixed(0)} %`;
  });
  return `${process.name}: ${shown.join(', ')}`;
}

/** The first column to the left, the others to the right. */
function align(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines
    .map((line) =>
      line
        .map((text, column) =>
          column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
