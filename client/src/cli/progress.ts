/**
 * How far a transfer is: a bar on a terminal, a line every few seconds where there is none, nothing with --quiet.
 * On standard error always, so that results can be piped.
 */
import type { SingleBar } from 'cli-progress';
import type { CliIo } from './io.js';
import { durationWords, rateWords, sizeWords } from './words.js';

/** Between two lines in a log: often enough to see that it lives, seldom enough to read. */
const lineEveryMs = 5_000;
const barFormat = '{bar} {percentage}% {amount} {rate} {rest}{files}';

export interface Progress {
  /** More to do is known. A stream's size is not: 0. */
  expect(bytes: number, files: number): void;
  /** Bytes moved; negative when an attempt was in vain. */
  moved(bytes: number): void;
  fileDone(): void;
  /** Clears the bar. Always called. */
  stop(): void;
}

const silent: Progress = {
  expect: () => undefined,
  moved: () => undefined,
  fileDone: () => undefined,
  stop: () => undefined,
};

/** @param verb what happens, for lines: "uploaded" */
export async function startProgress(io: CliIo, quiet: boolean, verb: string): Promise<Progress> {
  if (quiet) return silent;
  if (io.stderr.isTTY !== true) return new LineProgress(io, verb);
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    format: barFormat,
    stream: io.stderr,
    clearOnComplete: true,
    hideCursor: true,
    etaBuffer: 50,
    // Interruption is the command line's affair.
    gracefulExit: false,
  });
  return new BarProgress(bar);
}

/** Counts; what is shown, and when, is for those below. */
abstract class Counter implements Progress {
  protected readonly startedMs = performance.now();
  protected totalBytes = 0;
  protected movedBytes = 0;
  protected files = 0;
  protected filesDone = 0;

  expect(bytes: number, files: number): void {
    this.totalBytes += bytes;
    this.files += files;
    this.show();
  }

  moved(bytes: number): void {
    this.movedBytes += bytes;
    this.show();
  }

  fileDone(): void {
    this.filesDone += 1;
    this.show();
  }

  abstract stop(): void;
  protected abstract show(): void;

  protected get words(): { amount: string; rate: string; rest: string; files: string } {
    const elapsedMs = performance.now() - this.startedMs;
    const left = this.totalBytes - this.movedBytes;
    const restMs = this.movedBytes > 0 ? (elapsedMs / this.movedBytes) * left : 0;
    const total = this.totalBytes > 0 ? ` of ${sizeWords(this.totalBytes)}` : '';
    return {
      amount: `${sizeWords(Math.max(0, this.movedBytes))}${total}`,
      rate: rateWords(Math.max(0, this.movedBytes), elapsedMs),
      rest: left > 0 && restMs > 0 ? `${durationWords(restMs)} left` : '',
      files: this.files > 1 ? `  ${this.filesDone} of ${this.files} files` : '',
    };
  }
}

class BarProgress extends Counter {
  readonly #bar: SingleBar;

  constructor(bar: SingleBar) {
    super();
    this.#bar = bar;
    bar.start(1, 0, this.words);
  }

  stop(): void {
    this.#bar.stop();
  }

  protected show(): void {
    this.#bar.setTotal(Math.max(1, this.totalBytes));
    this.#bar.update(Math.min(this.movedBytes, Math.max(1, this.totalBytes)), this.words);
  }
}

class LineProgress extends Counter {
  readonly #io: CliIo;
  readonly #verb: string;
  readonly #timer: NodeJS.Timeout;

  constructor(io: CliIo, verb: string) {
    super();
    this.#io = io;
    this.#verb = verb;
    this.#timer = setInterval(() => this.#line(), lineEveryMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  protected show(): void {
    // Only the clock makes lines.
  }

  #line(): void {
    const { amount, rate, rest, files } = this.words;
    const parts = [`${this.#verb} ${amount}`, rate, rest, files.trim()].filter((part) => part !== '');
    this.#io.stderr.write(`${parts.join(', ')}\n`);
  }
}
