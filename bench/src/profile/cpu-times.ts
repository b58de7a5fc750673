/** The CPU time of processes as the kernel counts it: what no profile of samples is exact about. Linux only. */
import { readFileSync } from 'node:fs';

export interface CpuTimes {
  /** In its own code. */
  readonly userSeconds: number;
  /** In the kernel on its behalf. */
  readonly systemSeconds: number;
  /** The part, of both, of the thread that runs JavaScript. The others read and write files, and collect garbage. */
  readonly mainThreadSeconds: number;
}

/** USER_HZ: the unit of /proc/PID/stat, 100 a second whatever the kernel's own tick is. */
const ticksPerSecond = 100;

/** So far. */
export function cpuTimes(pid: number): CpuTimes {
  const whole = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  const main = parseStat(readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8'));
  return { ...whole, mainThreadSeconds: main.userSeconds + main.systemSeconds };
}

export function parseStat(text: string): { readonly userSeconds: number; readonly systemSeconds: number } {
  // The program's name, in brackets, may hold anything; what is cut off with it are fields 1 and 2 of proc(5).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const seconds = (field: number): number => Number(fields[field - 3]) / ticksPerSecond;
  return { userSeconds: seconds(14), systemSeconds: seconds(15) };
}

/** The difference. The counters are read one after the other: the part is never told to be more than the whole. */
export function cpuTimesSince(before: CpuTimes, now: CpuTimes): CpuTimes {
  const userSeconds = now.userSeconds - before.userSeconds;
  const systemSeconds = now.systemSeconds - before.systemSeconds;
  const mainThreadSeconds = Math.min(
    now.mainThreadSeconds - before.mainThreadSeconds,
    userSeconds + systemSeconds,
  );
  return { userSeconds, systemSeconds, mainThreadSeconds };
}
