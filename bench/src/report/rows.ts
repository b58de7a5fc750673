/** From samples to the rows of tables: one for each case and subject, with its ratio to the product. */
import { caseKey, type Case, type Sample, type Unit, type Workload } from '../samples.js';
import { median, ratio, select, type Selection, type Spread, spread } from '../stats.js';

/** The one whose ratios are shown. */
export const product = 'holdfast';

export interface Row extends Selection {
  readonly rate: Spread;
  readonly unit: Unit;
  /** The product's rate over this one's, round by round; undefined for the product itself. */
  readonly productRatio: Spread | undefined;
  /** Medians over the rounds. */
  readonly details: ReadonlyMap<string, number>;
  /**
   * Medians of CPU seconds by role, of all processes of a role together: for each GB (10^9 bytes of payload) where
   * bytes are counted, else for each thousand files or calls. Empty where nothing was counted.
   */
  readonly cpuSeconds: ReadonlyMap<string, number>;
  /** The largest of any process and round, by role, in bytes. */
  readonly peakBytes: ReadonlyMap<string, number>;
}

/** The rows of one workload; those of one case are together, with the product first. */
export function rowsOf(samples: readonly Sample[], workload: Workload): Row[] {
  const own = samples.filter((sample) => sample.workload === workload);
  const cases = new Map(own.map((sample) => [caseKey(sample.case), sample.case]));
  return [...cases.values()].sort(byCase).flatMap((of) => {
    const key = caseKey(of);
    const subjects = new Set(
      own.filter((sample) => caseKey(sample.case) === key).map(({ subject }) => subject),
    );
    return [...subjects].sort(bySubject).map((subject) => rowOf(own, { workload, case: of, subject }));
  });
}

const transfers = ['up', 'down', 'down to file'];

/** By what changes least often: a table reads as groups. */
function byCase(left: Case, right: Case): number {
  const rank = ({ action }: Case): number => transfers.indexOf(action);
  return (
    (left.sizeBytes ?? 0) - (right.sizeBytes ?? 0) ||
    rank(left) - rank(right) ||
    left.action.localeCompare(right.action) ||
    (left.replicas ?? 0) - (right.replicas ?? 0) ||
    (left.inFlight ?? 0) - (right.inFlight ?? 0) ||
    (left.clients ?? 0) - (right.clients ?? 0)
  );
}

function bySubject(left: string, right: string): number {
  return Number(right === product) - Number(left === product) || left.localeCompare(right);
}

function rowOf(samples: readonly Sample[], selection: Selection): Row {
  const own = select(samples, selection);
  const [first] = own;
  const roles = [...new Set(own.flatMap(({ usage }) => usage.map(({ role }) => role)))];
  const names = [...new Set(own.flatMap(({ details }) => Object.keys(details)))];
  return {
    ...selection,
    rate: spread(own.map(({ rate }) => rate)),
    unit: first?.unit ?? 'MB/s',
    productRatio:
      selection.subject === product
        ? undefined
        : ratio(samples, { ...selection, subject: product }, selection),
    details: new Map(names.map((name) => [name, median(own.flatMap(({ details }) => details[name] ?? []))])),
    cpuSeconds: new Map(roles.map((role) => [role, median(own.map((sample) => cpuSecondsOf(sample, role)))])),
    peakBytes: new Map(
      roles.map((role) => [role, peakBytesOf(own, role)] as const).filter(([, bytes]) => bytes > 0),
    ),
  };
}

/** For each GB or thousand, see Row; of all roles if none is named. */
export function cpuSecondsOf({ unit, bytes, count, usage }: Sample, role?: string): number {
  const amount = unit === 'MB/s' ? bytes / 1e9 : count / 1e3;
  const own = usage.filter((process) => role === undefined || process.role === role);
  return own.reduce((seconds, { cpuSeconds }) => seconds + cpuSeconds, 0) / amount;
}

/** The largest of any process and sample; 0 where it was not counted. */
export function peakBytesOf(samples: readonly Sample[], role: string): number {
  const own = samples.flatMap(({ usage }) => usage.filter((process) => process.role === role));
  return Math.max(0, ...own.map(({ peakResidentBytes = 0 }) => peakResidentBytes));
}
