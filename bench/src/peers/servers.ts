/**
 * The processes of a peer: started in the foreground, watched, and ended by their own pids. Nothing goes through the machine's service manager, so a bench leaves it as it was.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContenderProcess } from '../contender.js';

/** Every peer is local: nothing of a bench is reachable from outside, or leaves the machine. */
export const host = '127.0.0.1';

/** A slow machine starts a JVM in some seconds; whoever needs longer hangs. */
const readyTimeoutMs = 60_000;
const pollMs = 50;
/** Some write their state at the end, which takes seconds on a slow disk; the bench itself is given 30 s to end. */
const stopTimeoutMs = 10_000;
/** The last words of a server that failed: enough for its reason, little enough to read. */
const shownLogChars = 1_000;

interface Running extends ContenderProcess {
  readonly commandLine: string;
  /** The file with what it printed. */
  readonly log: string;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

/** The servers of one peer, in the order in which they were started. */
export class Servers {
  readonly #logDir: string;
  readonly #running: Running[] = [];
  /** If the bench ends by a mistake of its own, nobody calls `stop`: then they are at least told to end. */
  readonly #onExit = (): void => {
    for (const { child } of this.#running) child.kill('SIGTERM');
  };

  /** @param logDir where what they print is kept */
  constructor(logDir: string) {
    this.#logDir = logDir;
  }

  /** Starts a program that stays in the foreground. Its pid; 0 if it cannot be started, which the next wait tells. */
  start(role: ContenderProcess['role'], command: string, args: readonly string[]): number {
    if (this.#running.length === 0) process.once('exit', this.#onExit);
    const log = join(this.#logDir, `${role}-${this.#running.length}.log`);
    const logFd = openSync(log, 'a');
    // Detached: a Ctrl-C at the terminal goes to the bench alone, which then ends them.
    const child = spawn(command, args, { stdio: ['ignore', logFd, logFd], detached: true });
    closeSync(logFd); // the child has its own
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve()).once('error', () => resolve());
    });
    const pid = child.pid ?? 0;
    this.#running.push({ role, pid, commandLine: [command, ...args].join(' '), log, child, ended });
    return pid;
  }

  get processes(): readonly ContenderProcess[] {
    return this.#running.map(({ role, pid }) => ({ role, pid }));
  }

  /**
   * Asks until the answer is true. A question that fails counts as one answered with no.
   *
   * @throws Error that says what did not come: at once if a server has ended, with its last words
   */
  async waitUntil(what: string, isTrue: () => Promise<boolean>, timeoutMs = readyTimeoutMs): Promise<void> {
    const ended = this.#running.map(async ({ commandLine, log, ended }) => {
      await ended;
      const said = (await readFile(log, 'utf8')).slice(-shownLogChars);
      throw new Error(`${what}: this ended early: ${commandLine}\n${said}`);
    });
    const over = new AbortController();
    try {
      await Promise.race([poll(what, isTrue, timeoutMs, over.signal), ...ended]);
    } finally {
      over.abort();
    }
  }

  /** Ends all at once: what they hold is not wanted any more. Safe to call twice. */
  async stop(): Promise<void> {
    await Promise.all(
      this.#running.map(async ({ child, ended }) => {
        child.kill('SIGTERM');
        const force = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
        await ended;
        clearTimeout(force);
      }),
    );
    this.#running.length = 0;
    process.off('exit', this.#onExit);
  }
}

async function poll(
  what: string,
  isTrue: () => Promise<boolean>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  let cause: unknown;
  while (performance.now() < deadlineMs && !signal.aborted) {
    try {
      if (await isTrue()) return;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await sleep(pollMs);
  }
  throw new Error(`${what}: not there within ${timeoutMs / 1000} s`, { cause });
}
