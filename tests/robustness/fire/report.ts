/** What a fire came to. */
import type { Footprint } from '../../support/footprint.js';
import type { Calm, Fire } from './fire.js';

export interface FireReport {
  /** Of the first phase. */
  readonly seed: number;
  /** That were brought to their end and judged. */
  readonly phases: number;
  readonly minutes: number;
  readonly violation: string | undefined;
  /** By kind and outcome. */
  readonly operations: Readonly<Record<string, number>>;
  /** By kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** How long one and the same batch of transfers took, in milliseconds. */
  readonly batchMs?: { readonly before: number; readonly after: number };
  /** What each process holds, before the first phase and after the last rest. */
  readonly processes: readonly {
    readonly name: string;
    readonly before: Footprint;
    readonly after: Footprint;
  }[];
}

export function reportOf(outcome: {
  readonly seed: number;
  readonly phases: number;
  readonly elapsedMs: number;
  readonly fire: Fire | undefined;
  readonly violation: string | undefined;
}): FireReport {
  const { seed, phases, elapsedMs, fire, violation } = outcome;
  const calm = fire?.calm;
  return {
    ...{ seed, phases, minutes: elapsedMs / 60_000, violation },
    operations: fire?.tally.counts ?? {},
    faults: Object.fromEntries([...(fire?.faults ?? [])].sort(([one], [other]) => (one < other ? -1 : 1))),
    ...(calm && { batchMs: { before: calm.before.batchMs, after: calm.after.batchMs } }),
    processes: calm ? comparisonOf(calm.before, calm.after) : [],
  };
}

function comparisonOf(before: Calm, after: Calm): FireReport['processes'] {
  return [...after.footprints].map(([name, now]) => {
    return { name, before: before.footprints.get(name) ?? now, after: now };
  });
}

/** For people. */
export function tableOf({ phases, minutes, operations, faults, batchMs, processes }: FireReport): string {
  const counts = (of: Readonly<Record<string, number>>): string[] =>
    Object.entries(of).map(([name, count]) => `  ${String(count).padStart(7)}  ${name}`);
  const sum = (of: Readonly<Record<string, number>>): number =>
    Object.values(of).reduce((total, count) => total + count, 0);
  const held = ({ residentBytes, files, sockets, threads }: Footprint): string =>
    `${(residentBytes / 1e6).toFixed(0)} MB, ${files} files, ${sockets} sockets, ${threads} threads`;
  return [
    `${phases} phases in ${minutes.toFixed(1)} min`,
    `${sum(operations)} operations:`,
    ...counts(operations),
    `${sum(faults)} faults of ${Object.keys(faults).length} kinds:`,
    ...counts(faults),
    ...(batchMs
      ? [
          `a batch of transfers took ${batchMs.before.toFixed(0)} ms before and ${batchMs.after.toFixed(0)} ms after`,
        ]
      : []),
    ...processes.map(({ name, before, after }) => `${name}: ${held(before)} before; ${held(after)} after`),
  ].join('\n');
}
