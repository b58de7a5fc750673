/**
 * What the project wants to reach, beside what was measured: a table in which a miss is as plain to see as a hit.
 * The figures belong to the full sizes.
 */
import type { Case, Sample } from '../samples.js';
import { median, ratio, select, type Spread, spread } from '../stats.js';
import { cpuSecondsOf, peakBytesOf, product } from './rows.js';
import { figure, spreadWords } from './words.js';
import { markdownTable } from './tables.js';

interface Target {
  readonly words: string;
  /** The median has to be at least (or at most) this. */
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Undefined if the samples do not tell. */
  readonly measure: (samples: readonly Sample[]) => Spread | undefined;
}

const up2: Case = { action: 'up', replicas: 2 };
const down2: Case = { action: 'down', replicas: 2 };

function bigOver(of: Case, subject: string): Target['measure'] {
  return (samples) =>
    ratio(samples, { workload: 'big', subject: product, case: of }, { workload: 'big', subject, case: of });
}

function delayed(action: string): Target['measure'] {
  const of: Case = { action, replicas: 2, inFlight: 1, roundTripMs: 4 };
  return (samples) => {
    const own = select(samples, { workload: 'latency', subject: product, case: of });
    return own.length === 0 ? undefined : spread(own.map(({ rate }) => rate));
  };
}

/** Samples of the most clients that were measured. */
function manyClients(samples: readonly Sample[], action: string): Sample[] {
  const own = samples.filter(
    ({ workload, subject, case: of }) =>
      workload === 'clients' && subject === product && of.action === action,
  );
  const most = Math.max(...own.map(({ case: of }) => of.clients ?? 0));
  return most > 1 ? own.filter(({ case: of }) => of.clients === most) : [];
}

function manyOverOne(action: string): Target['measure'] {
  return (samples) => {
    const [many] = manyClients(samples, action);
    const one = { workload: 'clients', subject: product, case: { action, clients: 1 } } as const;
    return many && ratio(samples, many, one);
  };
}

function slowestOverMean(action: string): Target['measure'] {
  return (samples) => {
    const values = manyClients(samples, action).flatMap(({ details }) => details['slowestOverMean'] ?? []);
    return values.length === 0 ? undefined : spread(values);
  };
}

/** The CPU time of three copies over that of two, by the medians. */
function cpuOfThirdCopy(samples: readonly Sample[]): Spread | undefined {
  const cpu = (replicas: number): number[] =>
    select(samples, { workload: 'big', subject: product, case: { action: 'up', replicas } })
      .filter(({ usage }) => usage.length > 0)
      .map((sample) => cpuSecondsOf(sample));
  const [two, three] = [cpu(2), cpu(3)];
  return two.length === 0 || three.length === 0 ? undefined : spread([median(three) / median(two)]);
}

/** The largest peak of a role, in MB. */
function peak(role: string): Target['measure'] {
  return (samples) => {
    const own = samples.filter(({ subject, workload }) => subject === product && workload === 'clients');
    const bytes = peakBytesOf(own, role);
    return bytes === 0 ? undefined : spread([bytes / 1e6]);
  };
}

const targets: readonly Target[] = [
  { words: 'up, 2 copies, over `cp` with sync', atLeast: 0.42, measure: bigOver(up2, 'cp') },
  { words: 'up, 2 copies, over plain HTTP/1.1', atLeast: 0.85, measure: bigOver(up2, 'http') },
  { words: 'down, over plain HTTP/1.1', atLeast: 0.7, measure: bigOver(down2, 'http') },
  { words: 'up, 2 copies, over MooseFS', atLeast: 1.6, measure: bigOver(up2, 'moosefs') },
  { words: 'down, over MooseFS', atLeast: 1.5, measure: bigOver(down2, 'moosefs') },
  { words: 'CPU time a byte, 3 copies over 2', atMost: 1.6, measure: cpuOfThirdCopy },
  { words: 'up, many clients over one', atLeast: 0.9, measure: manyOverOne('up') },
  { words: 'down, many clients over one', atLeast: 0.9, measure: manyOverOne('down') },
  { words: 'up, slowest client over the mean', atLeast: 0.5, measure: slowestOverMean('up') },
  { words: 'down, slowest client over the mean', atLeast: 0.5, measure: slowestOverMean('down') },
  { words: 'up, one stream, 4 ms, MB/s', atLeast: 200, measure: delayed('up') },
  { words: 'down to file, one stream, 4 ms, MB/s', atLeast: 200, measure: delayed('down to file') },
  { words: 'peak memory of a client process, many clients, MB', atMost: 250, measure: peak('client') },
  { words: 'peak memory of a keeper, many clients, MB', atMost: 250, measure: peak('keeper') },
];

/** The targets that the samples tell of. */
export function targetTable(samples: readonly Sample[]): string {
  const rows = targets.flatMap(({ words, atLeast, atMost, measure }) => {
    const found = measure(samples);
    if (!found) return [];
    const reached = found.median >= (atLeast ?? -Infinity) && found.median <= (atMost ?? Infinity);
    const wanted = atLeast === undefined ? `≤ ${figure(atMost)}` : `≥ ${figure(atLeast)}`;
    return [[words, wanted, spreadWords(found), reached ? 'yes' : 'no']];
  });
  return rows.length === 0 ? '' : markdownTable(['target', 'wanted', 'measured', 'reached'], rows);
}
