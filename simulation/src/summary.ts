/** What many histories come to. */
import type { HistoryResult } from './history.js';

/** The part of a result that is added up, as it goes from one process to another. */
export interface HistorySum {
  readonly histories: number;
  readonly simulatedMs: number;
  readonly messages: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly methods: readonly string[];
}

export const nothing: HistorySum = {
  ...{ histories: 0, simulatedMs: 0, messages: 0, faults: {}, outcomes: {}, methods: [] },
};

export function sumOf({ simulatedMs, messages, faults, outcomes, methods }: HistoryResult): HistorySum {
  return {
    ...{ histories: 1, simulatedMs, messages, methods: [...methods] },
    ...{ faults: Object.fromEntries(faults), outcomes: Object.fromEntries(outcomes) },
  };
}

export function add(one: HistorySum, other: HistorySum): HistorySum {
  return {
    histories: one.histories + other.histories,
    simulatedMs: one.simulatedMs + other.simulatedMs,
    messages: one.messages + other.messages,
    faults: addCounts(one.faults, other.faults),
    outcomes: addCounts(one.outcomes, other.outcomes),
    methods: [...new Set([...one.methods, ...other.methods])],
  };
}

function addCounts(
  one: Readonly<Record<string, number>>,
  other: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum = { ...one };
  for (const [key, count] of Object.entries(other)) sum[key] = (sum[key] ?? 0) + count;
  return sum;
}

/** For people. */
export function summaryLines(sum: HistorySum, tookMs: number): string[] {
  const hours = sum.simulatedMs / 3_600_000;
  const counts = (of: Readonly<Record<string, number>>): string =>
    Object.entries(of)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, count]) => `${key} ${count}`)
      .join(', ');
  return [
    `${sum.histories} histories, ${hours.toFixed(1)} simulated hours in ${(tookMs / 60_000).toFixed(1)} min ` +
      `(${(sum.simulatedMs / tookMs).toFixed(0)} times as fast as real time), ${sum.messages} messages`,
    `faults (${Object.keys(sum.faults).length} kinds): ${counts(sum.faults)}`,
    `operations: ${counts(sum.outcomes)}`,
    `methods called: ${sum.methods.length}`,
  ];
}
