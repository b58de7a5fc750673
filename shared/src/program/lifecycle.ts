/**
 * The life of a program: start, signals, end. Every program's main module is one call of runProgram.
 *
 * It answers the ways in which a Node process ends badly: a rejected promise that nobody handled and that
 * leaves a server half alive; a SIGTERM that cuts a write in two; a stop that hangs for ever; a closed
 * terminal (SIGHUP) that takes a server with it; `… | head` that ends in a stack.
 *
 * | what                                    | status                                          |
 * |-----------------------------------------|-------------------------------------------------|
 * | start returned a number, or nothing     | the number, or 0                                |
 * | SIGINT or SIGTERM, stopped in time      | 0                                               |
 * | a second signal, or no stop in time     | 130 (SIGINT) or 143 (SIGTERM), at once          |
 * | start or stop failed                    | exitStatusOf(error), with what, why, what to do |
 * | an error that nobody handled            | 70, within a second                             |
 * | standard output was closed by its reader| 0, without a word                               |
 */
import { silentLogger, type Logger } from '../ports/logger.js';
import { ProgramOutput } from './config.js';
import { describeError } from './describe-error.js';

/** A server that runs until it is stopped. */
export interface RunningProgram {
  /** Stops gracefully: finishes what was begun, accepts nothing new. Called at most once. */
  stop(reason: string): Promise<void>;
}

export interface ProgramContext {
  /** Aborted when the program is asked to stop: during a long start, or a one-shot command. */
  readonly signal: AbortSignal;
  /** Where the life cycle logs from now on; nowhere before. */
  useLogger(logger: Logger): void;
  /** Asks for a graceful stop, as a signal does, ending with `status` (0 by default). */
  requestStop(reason: string, status?: number): void;
}

export interface ProgramSpec {
  readonly name: string;
  /** How long a graceful stop may take, in milliseconds; 10 s by default. */
  readonly stopLimitMs?: number;
  /** Starts it. What runs on returns a RunningProgram; what is done returns its status or nothing. */
  start(context: ProgramContext): Promise<RunningProgram | number | void>;
}

// Long enough to finish the chunks that are under way, shorter than systemd (90 s) and Kubernetes (30 s) wait.
const defaultStopLimitMs = 10_000;
// A Ctrl-C reaches a program from the terminal and, under `npm start`, once more from npm; such an echo is no
// second request. A person who means it twice is slower than this, or presses a third time.
const echoMs = 500;
// An unhandled error: time to get the log line out, before continuing could do harm.
const crashLimitMs = 800;
// sysexits.h EX_SOFTWARE: tells a crash from every status that scripts rely on.
const crashStatus = 70;
const signalStatus = { SIGINT: 130, SIGTERM: 143 } as const;

type StopSignal = keyof typeof signalStatus;

/** Runs a program to its end and ends the process. Resolves never: the process exits before. */
export async function runProgram(spec: ProgramSpec): Promise<void> {
  const life = new ProgramLife(spec.name, spec.stopLimitMs ?? defaultStopLimitMs);
  life.install();
  let status: number;
  try {
    const started = await spec.start(life);
    if (typeof started === 'object') {
      life.isServing = true;
      await life.stopRequested;
      await started.stop(life.reason);
      status = life.requestedStatus;
    } else {
      status = started ?? 0;
    }
  } catch (error) {
    status = life.statusOfFailure(error);
  }
  await flush(process.stdout);
  await flush(process.stderr);
  // A handle that somebody forgot to close must not keep a finished program alive.
  process.exit(status);
}

class ProgramLife implements ProgramContext {
  readonly #name: string;
  readonly #stopLimitMs: number;
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;
  /** Resolves when the program is asked to stop. */
  readonly stopRequested: Promise<void>;
  reason = '';
  /** Whether the start is over and left something to stop. */
  isServing = false;
  /** What a graceful stop ends with. */
  requestedStatus = 0;
  #logger: Logger = silentLogger;
  #firstSignalAtMs: number | undefined;
  #crashed = false;

  constructor(name: string, stopLimitMs: number) {
    this.#name = name;
    this.#stopLimitMs = stopLimitMs;
    this.stopRequested = new Promise((resolve) => {
      this.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  useLogger(logger: Logger): void {
    this.#logger = logger;
  }

  requestStop(reason: string, status = 0): void {
    this.#stop(reason, status, status === 0 ? 1 : status);
  }

  install(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => this.#onSignal(signal));
    // By default a closed terminal would end the program. There is nothing to reload either.
    process.on('SIGHUP', () => this.#logger.info('SIGHUP is ignored; stop with SIGTERM'));
    process.on('unhandledRejection', (error) => this.#crash('a rejection that nobody handled', error));
    process.on('uncaughtException', (error) => this.#crash('an exception that nobody caught', error));
    process.stdout.on('error', (error) => {
      // EIO: the terminal is gone. Either way nobody reads any more, which is no failure of ours.
      if (['EPIPE', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        // A server has things to bring to an end; a command has nobody left to tell.
        if (!this.isServing) process.exit(0);
        this.#stop('standard output was closed', 0, 0);
      } else this.#crash('writing to standard output failed', error);
    });
    if ((process.env['HOLDFAST_STOP_WITH_PARENT'] ?? '') !== '') this.#watchParent();
    // A log that cannot be written must not take the program with it.
    process.stderr.on('error', () => undefined);
  }

  /**
   * For servers that another program started: standard input is a pipe from it, which ends when it does, even by
   * SIGKILL. Without this, servers of a test run that was killed would live on and hold their ports.
   */
  #watchParent(): void {
    process.stdin.on('error', () => undefined).once('close', () => this.#stop('the parent ended', 0, 1));
    process.stdin.resume();
  }

  /** Prints a failure of start or stop; the status it ends with. */
  statusOfFailure(error: unknown): number {
    if (error instanceof ProgramOutput) {
      process.stdout.write(error.text);
      return 0;
    }
    // A start or a command that gave up because it was told to: that was no failure.
    if (this.signal.aborted && isAbort(error, this.signal)) return this.#statusWhenCut;
    const debug = (process.env['HOLDFAST_DEBUG'] ?? '') !== '';
    const { text, status } = describeError(this.#name, error, { debug });
    process.stderr.write(text);
    return status;
  }

  /** The status if the program ends before it could stop properly. */
  #statusWhenCut = 1;

  #onSignal(signal: StopSignal): void {
    const nowMs = performance.now();
    if (this.#firstSignalAtMs === undefined) {
      this.#firstSignalAtMs = nowMs;
      this.#stop(signal, 0, signalStatus[signal]);
    } else if (nowMs - this.#firstSignalAtMs >= echoMs) {
      process.stderr.write(`${this.#name}: stopped at once by a second ${signal}\n`);
      process.exit(signalStatus[signal]);
    }
  }

  #stop(reason: string, status: number, statusWhenCut: number): void {
    if (this.signal.aborted) return;
    this.reason = reason;
    this.requestedStatus = status;
    this.#statusWhenCut = statusWhenCut;
    this.#logger.info('stopping', { reason });
    setTimeout(() => {
      process.stderr.write(
        `${this.#name}: did not stop within ${this.#stopLimitMs / 1000} s; ended at once\n`,
      );
      process.exit(statusWhenCut);
    }, this.#stopLimitMs);
    this.#controller.abort(new DOMException(`stopping: ${reason}`, 'AbortError'));
  }

  #crash(what: string, error: unknown): void {
    if (this.#crashed) return; // the first one is the cause; more may follow from it
    this.#crashed = true;
    // The timer first: logging itself may be what is broken.
    setTimeout(() => process.exit(crashStatus), crashLimitMs);
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#logger.error(`ending because of ${what}`, { error });
    process.stderr.write(`${this.#name}: ended by ${what}, which is a defect in Holdfast: ${detail}\n`);
    void flush(process.stderr).then(() => process.exit(crashStatus));
  }
}

/** Whether an error is the abort itself, also when it was wrapped on its way. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  return error.name === 'AbortError' || code === 'ABORT_ERR' || code === 'CANCELLED';
}

/** Resolves when everything written so far has left the process, or cannot. */
function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || !stream.writable) resolve();
    else stream.write('', () => resolve());
  });
}
