/** Runs trials in the order of a plan, and keeps their samples. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type SourceFile, writeSourceFile } from '../machine/files.js';
import type { Sample } from '../samples.js';
import type { Sizes } from './sizes.js';
import { unlessAborted } from './interruption.js';
import { type Checked, Stage, type Surroundings, type Trial } from './stage.js';

export interface RunOptions {
  /** The trials of each round, in order. */
  readonly rounds: readonly (readonly Trial[])[];
  readonly sizes: Sizes;
  readonly seed: number;
  /** An empty directory for everything. */
  readonly dataDir: string;
  readonly signal: AbortSignal;
  /** Called before each trial. */
  readonly prepare?: () => Promise<void>;
  /** Told after each trial; `failure` if it did not end well. */
  readonly onTrial: (event: TrialEvent) => void;
}

export interface TrialEvent {
  /** From 1, as are the trials of a round. */
  readonly round: number;
  readonly rounds: number;
  readonly number: number;
  readonly trials: number;
  readonly trial: Trial;
  readonly samples: readonly Sample[];
  readonly failure?: string;
}

/** A trial that gave no figures in a round, and why. */
export interface Failure {
  readonly round: number;
  readonly trial: string;
  readonly message: string;
}

export interface Outcome {
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
  /** How often bytes that came back were compared with those that went up. */
  readonly checks: Readonly<Record<Checked, number>>;
}

/**
 * Runs everything. A trial that fails is told and left out; the others go on.
 *
 * @throws the signal's reason when the run is interrupted, after all that was started has ended
 */
export async function runTrials(options: RunOptions): Promise<Outcome> {
  const { rounds, signal, dataDir } = options;
  const samples: Sample[] = [];
  const failures: Failure[] = [];
  const checks = { length: 0, 'SHA-256': 0, contents: 0 };
  const source = sourceFiles(join(dataDir, 'sources'), options.seed);
  for (const [index, trials] of rounds.entries()) {
    for (const [position, trial] of trials.entries()) {
      const own: Sample[] = [];
      const around: Surroundings = {
        ...{ sizes: options.sizes, source, signal },
        record: (sample) => own.push(sample),
        onChecked: (what) => (checks[what] += 1),
      };
      const about = { number: position + 1, trials: trials.length, round: index + 1, rounds: rounds.length };
      try {
        await options.prepare?.();
        await runOne(trial, index + 1, join(dataDir, 'trial'), around);
        samples.push(...own);
        options.onTrial({ ...about, trial, samples: own });
      } catch (error) {
        signal.throwIfAborted();
        const message = error instanceof Error ? error.message : String(error);
        failures.push({ round: index + 1, trial: `${trial.workload}: ${trial.label}`, message });
        options.onTrial({ ...about, trial, samples: own, failure: message });
      }
    }
  }
  return { samples, failures, checks };
}

async function runOne(trial: Trial, round: number, dataDir: string, around: Surroundings): Promise<void> {
  around.signal.throwIfAborted();
  await mkdir(dataDir, { recursive: true });
  const stage = new Stage(trial, round, dataDir, around);
  try {
    await unlessAborted(trial.run(stage), around.signal);
  } finally {
    await stage.stop();
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Random files by size, each made once. */
function sourceFiles(folder: string, seed: number): (sizeBytes: number) => Promise<SourceFile> {
  const made = new Map<number, Promise<SourceFile>>();
  return async (sizeBytes) => {
    await mkdir(folder, { recursive: true });
    const file =
      made.get(sizeBytes) ?? writeSourceFile(join(folder, String(sizeBytes)), sizeBytes, seed + made.size);
    made.set(sizeBytes, file);
    return file;
  };
}
