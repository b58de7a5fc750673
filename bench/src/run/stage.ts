/**
 * What a trial works with: a directory, contenders that are ended whatever happens, and the stopwatch. Every
 * figure of the bench is taken in `measure`.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender, ContenderOptions, RunningContender } from '../contender.js';
import { command } from '../machine/command.js';
import type { SourceFile } from '../machine/files.js';
import { meter, type ProcessToMeter } from '../machine/usage.js';
import type { Case, Sample, Unit, Workload } from '../samples.js';
import type { Sizes } from './sizes.js';

/** One subject, set up one way: what runs without another in between. */
export interface Trial {
  readonly workload: Workload;
  /** As in the samples. */
  readonly subject: string;
  /** For progress: 'cp, 2 copies'. */
  readonly label: string;
  run(stage: Stage): Promise<void>;
}

/** What is the same for all trials of a run. */
export interface Surroundings {
  readonly sizes: Sizes;
  /** A random file of that many bytes; made when it is first asked for. */
  readonly source: (sizeBytes: number) => Promise<SourceFile>;
  readonly signal: AbortSignal;
  readonly record: (sample: Sample) => void;
  /** Told of every comparison that found the same. */
  readonly onChecked: (what: Checked) => void;
}

/** What of the bytes that came back was compared with those that went up. */
export type Checked = 'length' | 'SHA-256' | 'contents';

/** What is timed. */
export interface Step {
  readonly case: Case;
  readonly unit: Unit;
  /** Payload, once. For MB/s it is what is counted. */
  readonly bytes?: number;
  /** Files, calls, …: what is counted for the other units. */
  readonly count?: number;
  readonly processes?: readonly ProcessToMeter[];
}

/** What a step may tell beside its time. */
export type Details = Readonly<Record<string, number>>;

interface Stoppable {
  stop(): Promise<void>;
}

export class Stage {
  readonly sizes: Sizes;
  readonly source: (sizeBytes: number) => Promise<SourceFile>;
  /** From 1. */
  readonly round: number;
  /** Empty at first; removed after the trial. */
  readonly dataDir: string;
  readonly #trial: Trial;
  readonly #around: Surroundings;
  readonly #stops: (() => Promise<void>)[] = [];

  constructor(trial: Trial, round: number, dataDir: string, around: Surroundings) {
    this.sizes = around.sizes;
    this.source = around.source;
    this.dataDir = dataDir;
    this.#trial = trial;
    this.round = round;
    this.#around = around;
  }

  /** Once per run, contents are compared and not only lengths; outside what is timed. */
  get verifies(): boolean {
    return this.round === 1;
  }

  /** Starts the trial's contender, which ends with it. */
  async start(
    contender: Contender,
    options: Omit<ContenderOptions, 'dataDir' | 'keepers'>,
  ): Promise<RunningContender> {
    const dataDir = join(this.dataDir, 'contender');
    await mkdir(dataDir);
    return this.own(() => contender.start({ ...options, keepers: this.sizes.keepers, dataDir }));
  }

  /**
   * Starts something that is stopped with the trial, also if the bench is interrupted while it still starts.
   *
   * @throws the signal's reason when the bench was interrupted before
   */
  async own<T extends Stoppable>(start: () => Promise<T>): Promise<T> {
    this.#around.signal.throwIfAborted();
    const starting = start();
    // What could not start has cleaned up after itself.
    this.#stops.unshift(() =>
      starting.then(
        (thing) => thing.stop(),
        () => undefined,
      ),
    );
    return starting;
  }

  /** Times `work` and records the sample. */
  async measure(step: Step, work: () => Promise<Details | void>): Promise<void> {
    const { signal, record } = this.#around;
    await settle(this.dataDir);
    signal.throwIfAborted();
    const usage = meter(step.processes ?? []);
    const startMs = performance.now();
    const details = await work();
    const seconds = (performance.now() - startMs) / 1000;
    const { bytes = 0, count = 1 } = step;
    record({
      workload: this.#trial.workload,
      subject: this.#trial.subject,
      case: step.case,
      round: this.round,
      rate: (step.unit === 'MB/s' ? bytes / 1e6 : count) / seconds,
      unit: step.unit,
      seconds,
      bytes,
      count,
      details: details ?? {},
      usage: usage(),
    });
  }

  /**
   * Compares what came back with what went up.
   *
   * @throws Error if it differs: what was timed then was not the work
   */
  checkSame(what: Checked, found: unknown, wanted: unknown): void {
    if (found !== wanted) {
      throw new Error(`other bytes came back: ${what} ${String(found)}, and not ${String(wanted)}`);
    }
    this.checked(what);
  }

  /** Counts a comparison that was made elsewhere. */
  checked(what: Checked): void {
    this.#around.onChecked(what);
  }

  /** Ends everything that the trial started, the last first. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) await stop();
  }
}

/** Writes back what earlier steps left in the page cache, so that no step pays for another. */
async function settle(dataDir: string): Promise<void> {
  if (process.platform === 'linux') await command('sync', '-f', dataDir);
}
