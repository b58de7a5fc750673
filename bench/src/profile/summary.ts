/** What the rounds say together: how many seconds of CPU each process spent on each kind of work, in each step. */
import { type CpuProfile, selfTimes, type Stack, type Window } from './cpu-profile.js';
import type { CpuTimes } from './cpu-times.js';
import { groupOf, groups } from './groups.js';
import type { PerfGroup } from './perf.js';

/** The groups of a V8 profile but 'idle', which is no CPU time, and the threads that it does not see. */
export const rows = [...groups.filter((group) => group !== 'idle'), 'other threads'] as const;
type Row = (typeof rows)[number];

interface HotFunction {
  /** As 'crc32 node:zlib:853'. */
  readonly name: string;
  readonly group: string;
  readonly cpuSeconds: number;
}

export interface ProcessStep {
  /** 'client', 'keeper-1', …, 'tracker'. */
  readonly name: string;
  /** The kernel's count, while nothing was recorded by V8. */
  readonly cpu: CpuTimes;
  /** They add up to `cpu`, user and system. */
  readonly cpuSecondsByRow: Readonly<Partial<Record<Row, number>>>;
  /** The hottest first. */
  readonly hottest: readonly HotFunction[];
  /** With `perf`: shares of `cpu` by kind of work, in the kernel too; they add up to 1. */
  readonly perfShares?: Readonly<Partial<Record<PerfGroup, number>>>;
}

export interface StepSummary {
  readonly action: 'up' | 'down';
  readonly seconds: number;
  readonly processes: readonly ProcessStep[];
}

export interface ProfileSummary {
  /** Of this layout. */
  readonly format: 1;
  /** ISO 8601. */
  readonly recordedAt: string;
  readonly node: string;
  readonly sizeBytes: number;
  readonly replicas: number;
  readonly steps: readonly StepSummary[];
}

/** More are within the noise of a thousand samples a second. */
const hottestCount = 20;

/** What V8 saw of a process in a step, and what the kernel counted in the same time. */
export interface RecordedStep {
  readonly profile: CpuProfile;
  readonly window: Window;
  readonly cpu: CpuTimes;
}

/**
 * Splits the CPU time `cpu` of a process that ran undisturbed as V8 saw it in a recorded run.
 *
 * V8 samples by the clock: it counts a thread that waits for a CPU as busy, and native code in the event loop's poll
 * phase (reading sockets, taking HTTP/2 frames apart) as idle. The kernel counts right, but tells no functions. So
 * if the samples say more than the kernel, all are scaled down alike; if they say less, the rest is native code.
 * Then all is scaled to the undisturbed run.
 */
export function summariseProcess(name: string, cpu: CpuTimes, recorded: RecordedStep): ProcessStep {
  const busy = [...selfTimes(recorded.profile, recorded.window)]
    .map(([stack, micros]) => ({ stack, group: groupOf(stack), seconds: micros / 1e6 }))
    .filter(({ group }) => group !== 'idle');
  const sampledSeconds = sum(busy.map(({ seconds }) => seconds));
  const countedSeconds = recorded.cpu.mainThreadSeconds;
  const seenSeconds = Math.max(sampledSeconds, countedSeconds);
  const scale = seenSeconds === 0 ? 0 : cpu.mainThreadSeconds / seenSeconds;

  const byRow = new Map<Row, number>();
  const add = (row: Row, seconds: number): void => void byRow.set(row, (byRow.get(row) ?? 0) + seconds);
  for (const { group, seconds } of busy) add(group as Row, seconds * scale);
  // Where the recorded run saw nothing at all, nothing is known to be JavaScript.
  const nativeSeconds = seenSeconds === 0 ? cpu.mainThreadSeconds : (seenSeconds - sampledSeconds) * scale;
  add('native, outside JavaScript', nativeSeconds);
  add('other threads', cpu.userSeconds + cpu.systemSeconds - cpu.mainThreadSeconds);

  const functions = new Map<string, HotFunction>();
  for (const { stack, group, seconds } of busy) {
    const name = placeOf(stack);
    const cpuSeconds = (functions.get(name)?.cpuSeconds ?? 0) + seconds * scale;
    functions.set(name, { name, group, cpuSeconds });
  }
  const hottest = [...functions.values()].sort((a, b) => b.cpuSeconds - a.cpuSeconds).slice(0, hottestCount);
  return { name, cpu, cpuSecondsByRow: Object.fromEntries(byRow), hottest };
}

/** The function's name and place; a native one's with the caller that has a place. */
function placeOf(stack: Stack): string {
  const placed = stack.find(({ url }) => url !== '') ?? stack[0];
  const name = stack[0].functionName || '(anonymous)';
  if (placed.url === '') return name;
  // Short, and the same on every machine: the path within the package.
  const url = placed.url.replace(/^file:.*\/node_modules\//, '').replace(/^file:.*\/([^/]+\/dist\/)/, '$1');
  return `${name} ${url}:${placed.lineNumber + 1}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
