/**
 * What processes used while something was timed: CPU time and peak memory, as the kernel counts them. Only Linux
 * tells of other processes; elsewhere the figures are left out.
 */
import { readFileSync, writeFileSync } from 'node:fs';

export interface ProcessToMeter {
  readonly role: string;
  readonly pid: number;
}

/** One process during one step. */
export interface ProcessUsage {
  /** 'command' stands for all the programs that the bench ran to their end during the step. */
  readonly role: string;
  /** User and system time. The kernel counts in steps of 10 ms. */
  readonly cpuSeconds: number;
  /** The most memory it held, where the kernel let its mark be reset before the step. */
  readonly peakResidentBytes?: number;
}

/** USER_HZ: the unit of /proc/PID/stat, 100 a second in the kernel's interface whatever its own tick is. */
const ticksPerSecond = 100;

interface CpuTimes {
  readonly ownSeconds: number;
  /** Of children that ended and were waited for. */
  readonly childrenSeconds: number;
}

/** The CPU times in the text of /proc/PID/stat. */
export function parseStat(text: string): CpuTimes {
  // The second field is the program's name in brackets, and may hold spaces and brackets of its own.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = (field: number): number => Number(fields[field - 3]); // numbered from 1 in proc(5); two are cut off
  return {
    ownSeconds: (ticks(14) + ticks(15)) / ticksPerSecond,
    childrenSeconds: (ticks(16) + ticks(17)) / ticksPerSecond,
  };
}

/** The peak in the text of /proc/PID/status, in bytes. */
export function parsePeak(text: string): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

function cpuTimes(pid: number | 'self'): CpuTimes {
  return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** Whether the kernel set the process's peak back to what it holds now. */
function resetPeak(pid: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    return true;
  } catch {
    return false; // a kernel without it, or a process of somebody else
  }
}

/** Starts counting; the function that it returns ends it and tells. */
export function meter(processes: readonly ProcessToMeter[]): () => ProcessUsage[] {
  if (process.platform !== 'linux') return () => [];
  const resettable = processes.map(({ pid }) => resetPeak(pid));
  const before = processes.map(({ pid }) => cpuTimes(pid));
  const commandsBefore = cpuTimes('self').childrenSeconds;
  return () => {
    const usage = processes.map(({ role, pid }, index): ProcessUsage => {
      const cpuSeconds = cpuTimes(pid).ownSeconds - (before[index]?.ownSeconds ?? 0);
      if (resettable[index] !== true) return { role, cpuSeconds };
      const peakResidentBytes = parsePeak(readFileSync(`/proc/${pid}/status`, 'utf8'));
      return { role, cpuSeconds, peakResidentBytes };
    });
    const commands = cpuTimes('self').childrenSeconds - commandsBefore;
    return commands > 0 ? [...usage, { role: 'command', cpuSeconds: commands }] : usage;
  };
}
