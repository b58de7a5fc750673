/**
 * A program of which one system call, the third rename say, is its last, fails, or only says that it was done. strace
 * counts them, in a program that runs or from its start, and does it at the entry of the call: what was to change then
 * has not changed.
 *
 * It counts by thread. With one thread for files (`oneFileThread`) these calls come in one order, and the number of a
 * call means nearly the same in each run.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { waitFor } from './wait.js';

/** For the environment of a program whose file calls are to be counted. */
export const oneFileThread = { UV_THREADPOOL_SIZE: '1' };

/** What becomes of a call: the process ends in it, it fails with this errno, or it does nothing and says that it did. */
export type Fate = 'kill' | 'EIO' | 'ENOSPC' | 'lie';

/** Calls by which a program changes a directory or a file. Names that a processor does not have are ignored. */
export const fileCalls = [
  ...['pwrite64', 'pwritev', 'fsync', 'fdatasync', 'ftruncate', 'fallocate'],
  ...['rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'link', 'linkat', 'mkdir', 'mkdirat'],
] as const;
/** And those by which a server tells others. Not `write`: by it a thread wakes another, right after each call to a file. */
export const serverCalls = [...fileCalls, 'writev', 'sendmsg'] as const;
/** And by which a command writes to files of which the position is the kernel's to know. */
export const clientCalls = [...serverCalls, 'write'] as const;
export const syncCalls = ['fsync', 'fdatasync'] as const;
/** Calls by which a program reads a file or a directory. Only of files that are named: all else is its own affairs. */
export const readCalls = ['openat', 'read', 'pread64', 'getdents64'] as const;

/** Calls to look at: those that read if they are to one of these files, all others whatever they are to. */
export interface Watch {
  readonly calls: readonly string[];
  /** Their absolute paths. What is made later is none of them. */
  readonly files: readonly string[];
}

export interface Injection extends Partial<Watch> {
  readonly calls: readonly string[];
  readonly fate: Fate;
  /** Which of them, from 1; all if left out. */
  readonly number?: number;
}

/** What is missing on this machine; undefined if nothing is. */
export function missingForStrace(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  const { error, status } = spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']);
  if (error) return 'strace';
  return status === 0 ? undefined : 'ptrace';
}

const isRead = (call: string): boolean => readCalls.some((each) => each === call);

/** For a watch, each line shows the path of its file: `countedCalls` sorts them. An injection is to read calls or others. */
function flagsOf(log: string, what: Watch | Injection): string[] {
  const set = what.calls.map((name) => `?${name}`).join(',');
  const flags = ['-f', '-o', log, '-e', `trace=${set}`];
  if (!('fate' in what)) return [...flags, '-y'];
  const fate = { kill: 'signal=KILL', EIO: 'error=EIO', ENOSPC: 'error=ENOSPC', lie: 'retval=0' };
  const when = what.number === undefined ? '' : `:when=${what.number}`;
  const files = what.calls.some(isRead) ? (what.files ?? []) : [];
  return [
    ...flags,
    ...files.flatMap((file) => ['-P', file]),
    ...['-e', `inject=${set}:${fate[what.fate]}${when}`],
  ];
}

/** The command before a command that is to run so; its process id is the command's own. No --seccomp-bpf: it miscounts. */
export function underStrace(log: string, what: Watch | Injection): readonly string[] {
  return ['strace', '-D', ...flagsOf(log, what), '--'];
}

/** The file or directory of a line such as `7 pread64(3</a/b>, …` or `7 openat(AT_FDCWD</>, "/a/b", …`. */
function fileOf(line: string): string | undefined {
  const [, opened, named] = /\((?:AT_FDCWD<[^>]*>, )?(?:\d+<([^>]*)>|"([^"]*)")/.exec(line) ?? [];
  return opened ?? named;
}

/** How often each call that was watched was made, by the thread that made it most often. */
export async function countedCalls(log: string, { files }: Watch): Promise<Map<string, number>> {
  const readable = new Set(files);
  const byThread = new Map<string, number>();
  for (const line of (await readFile(log, 'utf8')).split('\n')) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (thread === undefined || call === undefined) continue;
    if (isRead(call) && !readable.has(fileOf(line) ?? '')) continue;
    const key = `${call} ${thread}`;
    byThread.set(key, (byThread.get(key) ?? 0) + 1);
  }
  const counts = new Map<string, number>();
  for (const [key, count] of byThread) {
    const [call = ''] = key.split(' ');
    counts.set(call, Math.max(count, counts.get(call) ?? 0));
  }
  return counts;
}

/** Whether what was to be done to a call was done: so far, or to a process that has ended. */
export async function wasInjected(log: string, hasEnded: boolean): Promise<boolean> {
  const text = await readFile(log, 'utf8').catch(() => '');
  return /\(INJECTED\)|\+\+\+ killed/.test(text) || (hasEnded && !/\+\+\+ exited/.test(text));
}

/**
 * Lets go of a process that has ended if strace does not: now and then it waits for ever for threads that were killed,
 * and so does everybody who waits for the process.
 */
async function releaseIfDead(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  if (status !== '' && !/^State:\s+Z/m.test(status)) return false;
  const tracer = Number(/^TracerPid:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  if (tracer > 0) process.kill(tracer, 'SIGKILL');
  return true;
}

/** A command that runs under strace, to its end. */
export async function untilEnded<T>({ child, finished }: RunningUnderStrace<T>): Promise<T> {
  const look = setInterval(() => {
    // It may be gone by then.
    releaseIfDead(child.pid ?? 0).catch(() => undefined);
  }, 100);
  return finished.finally(() => clearInterval(look));
}

interface RunningUnderStrace<T> {
  readonly child: ChildProcess;
  readonly finished: Promise<T>;
}

/** strace at a process that runs. */
export class Tracer {
  readonly #pid: number;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #ended: Promise<unknown>;
  #hasEnded = false;
  #wasDetached = false;

  private constructor(pid: number, child: ChildProcess, log: string) {
    this.#pid = pid;
    this.#child = child;
    this.#log = log;
    this.#ended = new Promise((resolve) => child.once('close', resolve)).then(() => {
      this.#hasEnded = true;
    });
  }

  /** Resolves when all threads of the process are watched. */
  static async attach(pid: number, log: string, what: Watch | Injection): Promise<Tracer> {
    const flags = flagsOf(log, what);
    const child = spawn('strace', [...flags, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (part: Buffer) => (said += part.toString()));
    const tracer = new Tracer(pid, child, log);
    await waitFor(`strace at process ${pid}`, () => {
      // It may be done with it already.
      if (/attached/.test(said)) return true;
      if (tracer.#hasEnded) throw new Error(said);
      return false;
    });
    return tracer;
  }

  /** Whether the process has ended, or was let go. */
  async hasEnded(): Promise<boolean> {
    if (!this.#hasEnded && (await releaseIfDead(this.#pid))) await this.#ended;
    return this.#hasEnded;
  }

  async wasInjected(): Promise<boolean> {
    return wasInjected(this.#log, !this.#wasDetached && (await this.hasEnded()));
  }

  /** Lets the process go on unwatched; its calls are as they were. */
  async detach(): Promise<void> {
    if (await this.hasEnded()) return;
    this.#wasDetached = true;
    this.#child.kill('SIGTERM');
    await waitFor('strace to let go', () => this.hasEnded());
  }
}
