/** Running the built programs as a user does. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The checkout, from wherever these tests run: of `npm run fire` they are compiled elsewhere. */
export const repository = join(dirname(createRequire(import.meta.url).resolve('@holdfast/client')), '../..');

/** The path of a program's launcher. */
export function launcher(program: 'client' | 'data-keeper' | 'master-tracker' | 'local-cluster'): string {
  return `${repository}/${program}/bin/${program}.cjs`;
}

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** The most memory it was seen to hold, in bytes (Linux; else 0). */
  readonly peakResidentBytes: number;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Everything it has written so far. */
  stdout(): string;
  stderr(): string;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** What to write to standard input; by default it is closed at once. */
  readonly input?: Buffer;
  readonly limitMs?: number;
  /** Takes root's power over files away, so that permissions mean something; see `permissionsMatter`. */
  readonly unprivileged?: boolean;
  /** A command before the program's, such as that of a debugger, or of another machine of a `Network`. */
  readonly wrapper?: readonly string[];
}

const isRoot = process.getuid?.() === 0;
/** Root without capabilities is bound by permissions as everybody is. */
const withoutCapabilities = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'];

/** Whether a program can be run such that permissions bind it: not as root, or where `setpriv` is installed. */
export function permissionsMatter(): boolean {
  return !isRoot || spawnSync('setpriv', ['--version']).status === 0;
}

/** Starts a program; it is killed when it takes longer than `limitMs` (default 7 minutes, which nothing takes that ends). */
export function start(
  program: Parameters<typeof launcher>[0],
  args: readonly string[],
  options: CommandOptions = {},
): RunningCommand {
  const { wrapper = [] } = options;
  const bounds = isRoot && options.unprivileged === true ? withoutCapabilities : [];
  const [command = '', ...words] = [...bounds, ...wrapper, process.execPath, launcher(program), ...args];
  const child = spawn(command, words, {
    cwd: options.cwd ?? repository,
    env: { ...process.env, NO_COLOR: '1', ...options.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let peakResidentBytes = 0;
  const look = setInterval(() => {
    peakResidentBytes = Math.max(peakResidentBytes, peakResidentBytesOf(child.pid));
  }, 50);
  child.stdout.on('data', (part: Buffer) => stdout.push(part));
  child.stderr.on('data', (part: Buffer) => stderr.push(part));
  // A program that ends before it has read all of its input is no failure of the test.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input);
  const limit = setTimeout(() => child.kill('SIGKILL'), options.limitMs ?? 420_000);
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      clearTimeout(limit);
      clearInterval(look);
      resolve({
        status,
        signal,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString(),
        peakResidentBytes,
      });
    });
  });
  return {
    child,
    finished,
    stdout: () => Buffer.concat(stdout).toString(),
    stderr: () => Buffer.concat(stderr).toString(),
  };
}

/** Runs a program to its end. */
export function run(
  program: Parameters<typeof launcher>[0],
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Finished> {
  return start(program, args, options).finished;
}

/** The most memory that a process has ever held, in bytes, as the kernel counts it; 0 where it does not say. */
export function peakResidentBytesOf(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid ?? 0}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    // Not Linux, or the process is gone.
    return 0;
  }
}
