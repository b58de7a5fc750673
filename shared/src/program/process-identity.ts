/**
 * Which process a pid means. Pids are used again, soon after a reboot and at once in containers, so a pid
 * alone would make a lock of a dead process look alive. On Linux the time of the start tells processes with
 * one pid apart; elsewhere the pid has to do.
 */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the boot to the start of the process; undefined where the system does not tell. */
  readonly startTicks?: string | undefined;
  /** Which boot the ticks count from. */
  readonly bootId?: string | undefined;
}

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, startTicks: statusOf(process.pid)?.startTicks, bootId: readBootId() };
}

/** Whether that very process still runs. When in doubt: yes. A zombie has ended: it holds nothing any more. */
export function isAlive(identity: ProcessIdentity): boolean {
  const { pid, startTicks, bootId } = identity;
  if (startTicks !== undefined && ownIdentity().startTicks !== undefined) {
    if (bootId !== readBootId()) return false;
    const status = statusOf(pid);
    return status !== undefined && status.startTicks === startTicks && !'ZX'.includes(status.state);
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there and belongs to another user.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function readBootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined; // not Linux, or a sandbox without /proc
  }
}

/** State and start time of a process from /proc, or undefined if it is not there. */
function statusOf(pid: number): { state: string; startTicks: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 2 is the name in parentheses and may hold anything, so the count starts behind the last one:
    // there stands field 3 (the state); the start time is field 22.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, startTicks] = [fields[0], fields[19]];
    return state === undefined || startTicks === undefined ? undefined : { state, startTicks };
  } catch {
    return undefined; // no such process, or no /proc
  }
}
