/** A Node program run to its end, with what it took. */
import { HoldfastError } from '@holdfast/shared';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { parsePeak } from '../machine/usage.js';

export interface Taken {
  readonly seconds: number;
  /** User and system, of all its threads. */
  readonly cpuSeconds: number;
  /** Its resident memory at most. */
  readonly peakBytes: number;
}

/** What the program tells of itself. */
interface Told {
  readonly usage: NodeJS.ResourceUsage;
  /** /proc/PID/status; empty where there is none. */
  readonly status: string;
}

/** Where the program tells what it took. */
const tellingFd = 3;
/**
 * Runs before the program: at its end it writes down what the kernel counted. On Linux the most memory that getrusage
 * knows of is also that of the process that started it, as it was before it became this program; VmHWM is not.
 */
const teller = `data:text/javascript,${encodeURIComponent(`
import { readFileSync, writeSync } from 'node:fs';
process.on('exit', () => {
  const usage = process.resourceUsage();
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
  writeSync(${tellingFd}, JSON.stringify({ usage, status }));
});
`)}`;
/** Why a command failed is in its last lines. */
const shownChars = 1_000;

/**
 * Runs `node ARGS`; what it prints is read and dropped.
 *
 * @param allowed the exit statuses that are no failure
 * @throws HoldfastError INTERNAL with what it said when it ends otherwise
 */
export async function runNode(
  args: readonly string[],
  { signal, allowed = [0] }: { readonly signal: AbortSignal; readonly allowed?: readonly number[] },
): Promise<Taken> {
  const startMs = performance.now();
  const child = spawn(process.execPath, ['--import', teller, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    signal,
  });
  child.stdout?.resume();
  const told = text(child.stdio[tellingFd] as Readable);
  const [errors, [status]] = await Promise.all([
    text(child.stderr as Readable),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  const seconds = (performance.now() - startMs) / 1000;
  if (status === null || !allowed.includes(status)) {
    throw new HoldfastError('INTERNAL', `${args.join(' ')}: status ${status}: ${errors.slice(-shownChars)}`);
  }
  const { usage, status: processStatus } = JSON.parse(await told) as Told;
  return {
    seconds,
    // Microseconds and kilobytes.
    cpuSeconds: (usage.userCPUTime + usage.systemCPUTime) / 1e6,
    peakBytes: parsePeak(processStatus) || usage.maxRSS * 1024,
  };
}
