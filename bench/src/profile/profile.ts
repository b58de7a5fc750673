/**
 * A profile: the standard load once undisturbed, for what it costs, and once recorded, for what that goes into.
 * Recording takes a thread of its own in every process and makes all of them slower, so its seconds are not counted.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSourceFile } from '../machine/files.js';
import { unlessAborted } from '../run/interruption.js';
import { type LoadOptions, type LoadRun, type LoadStep, runLoad } from './load.js';
import { perfShares } from './perf.js';
import { readRecording, recordingEnvironment, recordingPath } from './recording.js';
import { type ProcessStep, type StepSummary, summariseProcess } from './summary.js';

export interface ProfileOptions {
  readonly sizeBytes: number;
  readonly replicas: number;
  /** Empty; what it holds afterwards is of no use. */
  readonly dataDir: string;
  /** Gets a .cpuprofile of each process, by name. */
  readonly outputDir: string;
  /** Whether to use `perf` too, in the undisturbed run. */
  readonly perf: boolean;
  readonly signal: AbortSignal;
}

/** Any: it only has to be the same bytes in each profile. */
const seed = 1;

/**
 * Runs both; resolves to what each step cost.
 *
 * @throws the signal's reason if it is aborted
 */
export async function profileLoad(options: ProfileOptions): Promise<StepSummary[]> {
  const { sizeBytes, replicas, dataDir, outputDir, perf, signal } = options;
  const source = await unlessAborted(writeSourceFile(join(dataDir, 'source'), sizeBytes, seed), signal);
  const load = (name: string, more: Partial<LoadOptions>): Promise<LoadRun> =>
    runLoad({ sourcePath: source.path, dataDir: join(dataDir, name), replicas, signal, ...more });
  const plain = await load('plain', { perf });
  if (perf) checkSamples(plain);
  const recorded = await load('recorded', { environment: recordingEnvironment(outputDir) });
  // They were written when the processes ended, under their pids.
  for (const { name, pid } of recorded.processes) {
    await rename(recordingPath(outputDir, pid), recordingPath(outputDir, name));
  }
  return Promise.all(
    plain.steps.map(async (step) => ({
      action: step.action,
      seconds: (step.window.toMicros - step.window.fromMicros) / 1e6,
      processes: await summariseStep(step, plain, recorded, outputDir),
    })),
  );
}

/** @throws Error if perf was not there when the first step began: its shares would be those of a part */
function checkSamples({ steps, samples }: LoadRun): void {
  const fromMicros = steps[0]?.window.fromMicros ?? 0;
  if (samples.some(({ micros }) => micros < fromMicros)) return;
  throw new Error(
    'perf began to record after the first step had: use a larger --size, so that it warms up longer',
  );
}

function summariseStep(
  step: LoadStep,
  plain: LoadRun,
  recorded: LoadRun,
  outputDir: string,
): Promise<ProcessStep[]> {
  return Promise.all(
    plain.processes.map(async ({ name, pid }, index) => {
      const same = recorded.steps.find(({ action }) => action === step.action);
      const [cpu, recordedCpu] = [step.cpu[index], same?.cpu[index]];
      if (!same || !cpu || !recordedCpu)
        throw new Error(`the runs differ: no ${step.action} of ${name} in both`);
      const profile = await readRecording(outputDir, name);
      const summary = summariseProcess(name, cpu, { profile, window: same.window, cpu: recordedCpu });
      if (plain.samples.length === 0) return summary;
      return { ...summary, perfShares: Object.fromEntries(perfShares(plain.samples, pid, step.window)) };
    }),
  );
}
