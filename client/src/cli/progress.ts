/**
 * How far a transfer is: a bar on a terminal, a line every few seconds where there is none, nothing with --quiet.
 * On standard error always, so that results can be piped.
 */
import type { SingleBar } from 'cli-progress';
import type { TransferProgress } from '../upload/upload.js';
import type { CliIo } from './io.js';
import { durationWords, rateWords, sizeWords } from './words.js';

/** Between two lines in a log: often enough to see that it lives, seldom enough to read. */
const lineEveryMs = 5_000;
const barFormat = '{bar} {percentage}% {amount} {rate} {rest}{files}';

/** How much there is to do in all. */
export interface Amount {
  readonly bytes: number;
  readonly files: number;
}

export interface Progress {
  /**
   * What there is to do is being counted, if anybody looks: until that is done no total is shown and no time left, as
   * what was met so far says nothing of the rest. If it cannot be counted, what is met counts.
   */
  countAhead(count: () => Promise<Amount>): void;
  /** More to do is known. A stream's size is not: 0. */
  expect(bytes: number, files: number): void;
  /** Bytes moved; negative when an attempt was in vain. `resumed` of them had been moved before it began. */
  moved(bytes: number, resumed?: number): void;
  fileDone(): void;
  /** Clears the bar. Always called. */
  stop(): void;
}

const silent: Progress = {
  countAhead: () => undefined,
  expect: () => undefined,
  moved: () => undefined,
  fileDone: () => undefined,
  stop: () => undefined,
};

/** What a transfer, of one file or of many, is to tell of its bytes. */
export function movedOf(progress: Progress): (now: Omit<TransferProgress, 'totalBytes'>) => void {
  let [seenBytes, seenResumedBytes] = [0, 0];
  return ({ transferredBytes, resumedBytes = 0 }) => {
    progress.moved(transferredBytes - seenBytes, resumedBytes - seenResumedBytes);
    [seenBytes, seenResumedBytes] = [transferredBytes, resumedBytes];
  };
}

/** The files, each told to the progress as it is taken. */
export async function* expecting<File>(
  progress: Progress,
  files: AsyncIterable<File>,
  sizeBytesOf: (file: File) => number,
): AsyncGenerator<File, void, undefined> {
  for await (const file of files) {
    progress.expect(sizeBytesOf(file), 1);
    yield file;
  }
}

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
  #resumedBytes = 0;
  protected files = 0;
  protected filesDone = 0;
  #total: 'met' | 'to be counted' | 'counted' = 'met';
  #count: (() => Promise<Amount>) | undefined;

  countAhead(count: () => Promise<Amount>): void {
    this.#total = 'to be counted';
    this.#count = count;
  }

  /** Called when somebody looks. */
  protected beginToCount(): void {
    const count = this.#count;
    this.#count = undefined;
    count?.().then(
      ({ bytes, files }) => {
        this.#total = 'counted';
        this.totalBytes = bytes;
        this.files = files;
        this.show();
      },
      () => {
        this.#total = 'met';
      },
    );
  }

  protected get isTotalKnown(): boolean {
    return this.#total !== 'to be counted';
  }

  expect(bytes: number, files: number): void {
    if (this.#total === 'counted') return;
    this.totalBytes += bytes;
    this.files += files;
    this.show();
  }

  moved(bytes: number, resumed = 0): void {
    this.movedBytes += bytes;
    this.#resumedBytes += resumed;
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
    const nowBytes = Math.max(0, this.movedBytes - this.#resumedBytes);
    const restMs = nowBytes > 0 ? (elapsedMs / nowBytes) * left : 0;
    const isKnown = this.isTotalKnown;
    const total = isKnown && this.totalBytes > 0 ? ` of ${sizeWords(this.totalBytes)}` : '';
    return {
      amount: `${sizeWords(Math.max(0, this.movedBytes))}${total}`,
      rate: rateWords(nowBytes, elapsedMs),
      rest: isKnown && left > 0 && restMs > 0 ? `${durationWords(restMs)} left` : '',
      files: this.files > 1 ? `  ${this.filesDone}${isKnown ? ` of ${this.files}` : ''} files` : '',
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
    this.beginToCount();
    const total = Math.max(1, this.totalBytes);
    this.#bar.setTotal(total);
    this.#bar.update(this.isTotalKnown ? Math.min(this.movedBytes, total) : 0, this.words);
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
    // Not before: what takes less time than a line needs no total.
    this.beginToCount();
    const { amount, rate, rest, files } = this.words;
    const parts = [`${this.#verb} ${amount}`, rate, rest, files.trim()].filter((part) => part !== '');
    this.#io.stderr.write(`${parts.join(', ')}\n`);
  }
}
