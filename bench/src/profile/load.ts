/** The standard load: a cluster and a client as processes, one big file up and down, and what the kernel counted. */
import { startProcessCluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { Child } from '../children/child.js';
import type { ClientMethods } from '../holdfast/client-process.js';
import { nodeSettings } from '../node-settings.js';
import { fullSizes } from '../run/sizes.js';
import { nowMicros, type Window } from './cpu-profile.js';
import { type CpuTimes, cpuTimes, cpuTimesSince } from './cpu-times.js';
import { PerfRecording, type PerfSample } from './perf.js';

export interface LoadOptions {
  readonly sourcePath: string;
  readonly replicas: number;
  /** For the cluster; empty, or not there. */
  readonly dataDir: string;
  /** Variables for every process of it. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether `perf` records. */
  readonly perf?: boolean;
  readonly signal: AbortSignal;
}

export interface LoadRun {
  /** The client, the keepers, the tracker; ended by now. */
  readonly processes: readonly NamedProcess[];
  readonly steps: readonly LoadStep[];
  /** Empty without `perf`. */
  readonly samples: readonly PerfSample[];
}

interface NamedProcess {
  /** 'client', 'keeper-1', …, 'tracker'. */
  readonly name: string;
  readonly pid: number;
}

export interface LoadStep {
  readonly action: 'up' | 'down';
  readonly window: Window;
  /** In the order of the processes. */
  readonly cpu: readonly CpuTimes[];
}

/** As in the bench: as many as the most copies that it measures. */
const keepers = 3;
const clientModule = new URL('../holdfast/client-process.js', import.meta.url);

/** What was started, to be ended in the opposite order. */
class Started {
  readonly #stops: (() => Promise<void>)[] = [];
  #stopping = Promise.resolve();

  add<T extends { stop(): Promise<void> }>(thing: T): T {
    this.#stops.push(() => thing.stop());
    return thing;
  }

  /** Also ends what was added since it was last called; whoever calls it second waits for the first. */
  stop(): Promise<void> {
    this.#stopping = this.#stopping.then(async () => {
      for (let stop = this.#stops.pop(); stop; stop = this.#stops.pop()) await stop();
    });
    return this.#stopping;
  }
}

/**
 * Runs the load once; resolves when all its processes have ended.
 *
 * @throws the signal's reason if it is aborted
 */
export async function runLoad(options: LoadOptions): Promise<LoadRun> {
  const { signal } = options;
  signal.throwIfAborted();
  const started = new Started();
  // What is under way then fails, because its processes end.
  const onAbort = (): void => void started.stop();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const run = await runOn(started, options);
    await started.stop();
    return { ...run, samples: (await run.perf?.samples()) ?? [] };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await started.stop();
  }
}

async function runOn(started: Started, options: LoadOptions) {
  const { sourcePath, replicas, dataDir, environment = {} } = options;
  const cluster = started.add(await startProcessCluster({ dataDir, keepers, environment }));
  // Nobody wants what an interrupted run has stored, and stopping in order takes as long as what is under way.
  options.signal.addEventListener('abort', () => void cluster.killAll(), { once: true });
  const client = started.add(
    await Child.start<ClientMethods>(clientModule, {
      ...nodeSettings,
      environment: { ...nodeSettings.environment, ...environment },
    }),
  );
  const processes: readonly NamedProcess[] = [
    { name: 'client', pid: client.pid },
    ...[...cluster.keepers, cluster.tracker].map(({ name, pid = 0 }) => ({ name, pid })),
  ];
  const pids = processes.map(({ pid }) => pid);
  // While it starts, the warm-up goes on.
  const perf =
    options.perf === true ? started.add(new PerfRecording(join(dataDir, 'perf.data'), pids)) : undefined;
  await client.call('connect', cluster.trackerAddress, replicas);
  for (let round = 0; round < fullSizes.warmUpRounds; round += 1) {
    await client.call('upload', sourcePath, `/warm-up-${round}`);
    await client.call('download', `/warm-up-${round}`);
  }

  const measure = async (action: LoadStep['action'], work: () => Promise<unknown>): Promise<LoadStep> => {
    const before = pids.map(cpuTimes);
    const fromMicros = nowMicros();
    await work();
    const toMicros = nowMicros();
    const after = pids.map(cpuTimes);
    return {
      action,
      window: { fromMicros, toMicros },
      cpu: before.map((times, index) => cpuTimesSince(times, after[index] ?? times)),
    };
  };
  const steps = [
    await measure('up', () => client.call('upload', sourcePath, '/file')),
    await measure('down', () => client.call('download', '/file')),
  ];
  return { processes, steps, perf };
}
