/** What many histories come to. */
import type { HistoryResult } from './history.js';
import { faultKinds } from './nemesis.js';
import { stepEnds } from './simulated-network.js';

type Counts = Readonly<Record<string, number>>;

/** The part of a result that is added up, as it goes from one process to another. */
export interface HistorySum {
  readonly histories: number;
  readonly simulatedMs: number;
  /** What the processes that ran them computed. */
  readonly cpuMs: number;
  readonly messages: number;
  /** By kind: faults, operations of clients by outcome, calls by method and end, tasks of keepers, drills. */
  readonly faults: Counts;
  readonly operations: Counts;
  readonly steps: Counts;
  readonly tasks: Counts;
  readonly drills: Counts;
  /** That are served, called or not. */
  readonly methods: readonly string[];
}

export const nothing: HistorySum = {
  ...{ histories: 0, simulatedMs: 0, cpuMs: 0, messages: 0, methods: [] },
  ...{ faults: {}, operations: {}, steps: {}, tasks: {}, drills: {} },
};

export function sumOf(result: HistoryResult, cpuMs: number): HistorySum {
  const { simulatedMs, messages, faults, outcomes, steps, tasks, drills, methods } = result;
  return {
    ...{ histories: 1, simulatedMs, cpuMs, messages, methods: [...methods] },
    ...{ faults: Object.fromEntries(faults), operations: Object.fromEntries(outcomes) },
    ...{ steps: Object.fromEntries(steps), tasks: Object.fromEntries(tasks) },
    drills: Object.fromEntries(drills),
  };
}

export function add(one: HistorySum, other: HistorySum): HistorySum {
  return {
    histories: one.histories + other.histories,
    simulatedMs: one.simulatedMs + other.simulatedMs,
    cpuMs: one.cpuMs + other.cpuMs,
    messages: one.messages + other.messages,
    faults: addCounts(one.faults, other.faults),
    operations: addCounts(one.operations, other.operations),
    steps: addCounts(one.steps, other.steps),
    tasks: addCounts(one.tasks, other.tasks),
    drills: addCounts(one.drills, other.drills),
    methods: [...new Set([...one.methods, ...other.methods])].sort(),
  };
}

function addCounts(one: Counts, other: Counts): Counts {
  const sum: Record<string, number> = { ...one };
  for (const [key, count] of Object.entries(other)) sum[key] = (sum[key] ?? 0) + count;
  return sum;
}

/** For programs. */
export function summaryOf(sum: HistorySum, tookMs: number) {
  const { histories, simulatedMs, cpuMs, methods, steps, faults, operations } = sum;
  const known = new Set(methods);
  const seen = Object.keys(steps).filter((step) => known.has(step.slice(0, step.lastIndexOf(' '))));
  const called = new Set(seen.map((step) => step.slice(0, step.lastIndexOf(' '))));
  return {
    ...{ histories, tookMs: Math.round(tookMs), cpuMs: Math.round(cpuMs) },
    simulatedHours: simulatedMs / 3_600_000,
    /** Virtual over real time, of all processes together. */
    timesRealTime: simulatedMs / tookMs,
    simulatedHoursPerMinute: simulatedMs / 3_600_000 / (tookMs / 60_000),
    cpuMsPerHistory: cpuMs / histories,
    faultsAndOperationsPerCpuS: (1_000 * (total(faults) + total(operations))) / cpuMs,
    faultKinds: { seen: Object.keys(faults).length, of: faultKinds.length },
    methods: { called: called.size, of: known.size, never: methods.filter((method) => !called.has(method)) },
    stepKinds: { seen: seen.length, of: known.size * stepEnds.length },
    messages: sum.messages,
    ...{ faults, operations, tasks: sum.tasks, drills: sum.drills, steps },
  };
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** For people. */
export function summaryLines(sum: HistorySum, tookMs: number): string[] {
  const summary = summaryOf(sum, tookMs);
  const { faultKinds: kinds, methods, stepKinds } = summary;
  const counts = (of: Counts): string =>
    Object.entries(of)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, count]) => `${key} ${count}`)
      .join(', ');
  const never = methods.never.map((path) => path.slice(path.lastIndexOf('/') + 1));
  return [
    `${sum.histories} histories, ${summary.simulatedHours.toFixed(1)} simulated hours in ` +
      `${(tookMs / 60_000).toFixed(1)} min: ${summary.simulatedHoursPerMinute.toFixed(1)} hours a minute, ` +
      `${summary.timesRealTime.toFixed(0)} times as fast as real time`,
    `${(summary.cpuMsPerHistory / 1_000).toFixed(2)} s of CPU a history, ` +
      `${summary.faultsAndOperationsPerCpuS.toFixed(0)} faults and operations for each of them; ${sum.messages} messages`,
    `faults (${kinds.seen} of ${kinds.of} kinds): ${counts(sum.faults)}`,
    `operations: ${counts(sum.operations)}`,
    `tasks of keepers: ${counts(sum.tasks)}`,
    `drills: ${counts(sum.drills) || 'none'}`,
    `methods called: ${methods.called} of ${methods.of}${never.length > 0 ? `, never ${never.join(', ')}` : ''}; ` +
      `with an end that was ok, refused or unknown: ${stepKinds.seen} of ${stepKinds.of}`,
  ];
}
