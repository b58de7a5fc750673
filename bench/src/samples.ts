/** What the bench measures, one figure at a time: the rows of its results, from which all tables are made. */
import type { ProcessUsage } from './machine/usage.js';

/** The groups that `--only` chooses from, in the order in which they run and are shown. */
export const workloads = [
  'machine',
  'big',
  'clients',
  'small',
  'trees',
  'ranges',
  'metadata',
  'latency',
] as const;
export type Workload = (typeof workloads)[number];

/** What was done, and how. Samples of two subjects can be compared if these are equal. */
export interface Case {
  /** 'up', 'down', 'down to file', 'stat', … */
  readonly action: string;
  readonly replicas?: number;
  /** Of each file or request. */
  readonly sizeBytes?: number;
  /** Files or requests at a time. */
  readonly inFlight?: number;
  readonly clients?: number;
  /** Between all processes; undefined for loopback as it is. */
  readonly roundTripMs?: number;
}

export type Unit = 'MB/s' | 'files/s' | 'calls/s' | 'reads/s' | 'syncs/s';

export interface Sample {
  readonly workload: Workload;
  /** The contender or floor, with how it was set up where that differs: 'cp, no sync'. */
  readonly subject: string;
  readonly case: Case;
  /** From 1. Samples of one round are compared with one another. */
  readonly round: number;
  /** Greater than 0; more is better. */
  readonly rate: number;
  readonly unit: Unit;
  readonly seconds: number;
  /** Payload that moved, once, however many copies it became; 0 where none does. */
  readonly bytes: number;
  /** Files, calls, …; 1 where bytes are counted. */
  readonly count: number;
  /** Further figures by name, which ends in the unit: p50Ms, p99Ms, … */
  readonly details: Readonly<Record<string, number>>;
  readonly usage: readonly ProcessUsage[];
}

/** Equal for cases that are equal. */
export function caseKey(of: Case): string {
  const { action, replicas, sizeBytes, inFlight, clients, roundTripMs } = of;
  return JSON.stringify([action, replicas, sizeBytes, inFlight, clients, roundTripMs]);
}

/** 64 KiB, 1 GiB, 1000 B. */
export function sizeWords(sizeBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let power = 0;
  while (sizeBytes >= 1024 ** (power + 1) && sizeBytes % 1024 ** (power + 1) === 0) power += 1;
  return `${sizeBytes / 1024 ** power} ${units[power] ?? 'B'}`;
}

/** For people: "up, 4 KiB, 2 copies, 16 in flight". */
export function caseWords(of: Case): string {
  const count = (number: number, word: string, plural: string): string =>
    `${number} ${number === 1 ? word : plural}`;
  return [
    of.action,
    of.sizeBytes !== undefined && sizeWords(of.sizeBytes),
    of.replicas !== undefined && count(of.replicas, 'copy', 'copies'),
    of.inFlight !== undefined && `${of.inFlight} in flight`,
    of.clients !== undefined && count(of.clients, 'client', 'clients'),
    of.roundTripMs !== undefined && `${of.roundTripMs} ms`,
  ]
    .filter((words) => words !== false)
    .join(', ');
}
