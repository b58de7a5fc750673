/**
 * One history: a cluster is started, clients work, things go wrong, everything is mended, and then all that was promised
 * has to hold. All of it follows from the seed.
 */
import { judge } from './judge.js';
import { Model } from './model.js';
import { Nemesis, type PlannedFault, planFaults } from './nemesis.js';
import { SeededRandom } from './seeded-random.js';
import { SimulatedCluster } from './simulated-cluster.js';
import { Trace } from './trace.js';
import { Violation } from './violation.js';
import { Workload } from './workload.js';

/** How long things go wrong. */
const faultsMs: readonly [number, number] = [20_000, 120_000];
/** Clients that wait for a minute and then for what is on its way end within this. */
const drainMs = 600_000;

export interface HistoryResult {
  readonly seed: number;
  readonly plan: readonly PlannedFault[];
  /** The promise that was broken, if one was. */
  readonly violation?: string;
  readonly trace: readonly string[];
  readonly simulatedMs: number;
  readonly messages: number;
  /** By kind: faults that came to pass, operations by their outcome, and methods that were called. */
  readonly faults: ReadonlyMap<string, number>;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly methods: ReadonlySet<string>;
  /** A hash of what happened: equal for every run of the seed. */
  readonly fingerprint: string;
}

export interface HistoryOptions {
  /** Faults of the plan, by their place in it, that are left out. */
  readonly without?: ReadonlySet<number>;
  /** Disks that only say that they sync: for a test of the judge. */
  readonly lyingDisks?: boolean;
}

/** Never rejects: whatever goes wrong is the violation. */
export async function runHistory(seed: number, options: HistoryOptions = {}): Promise<HistoryResult> {
  const random = new SeededRandom(seed, 'history');
  const lengthMs = random.integer(...faultsMs);
  const plan = planFaults(new SeededRandom(seed, 'plan'), lengthMs).filter(
    (_, index) => options.without?.has(index) !== true,
  );
  const trace = new Trace();
  const cluster = new SimulatedCluster(seed, random.integer(3, 5), trace);
  for (const { disk } of cluster.keepers) disk.lies = options.lyingDisks === true;
  const nemesis = new Nemesis(cluster, new SeededRandom(seed, 'nemesis'));
  const outcomes = new Map<string, number>();
  let violation: string | undefined;
  try {
    await cluster.start();
    const model = new Model();
    const clients = ['client-1', 'client-2'].map((name) => ({ name, ...cluster.startClient(name) }));
    const workloads = clients.map(
      (each) => new Workload({ ...each, model, trace, random: new SeededRandom(seed, each.name) }),
    );
    nemesis.start(plan);
    let isOver = false;
    let running = workloads.length;
    let failure: { readonly error: unknown } | undefined;
    for (const workload of workloads) {
      void workload
        .run(() => isOver || failure !== undefined)
        .catch((error: unknown) => (failure ??= { error }))
        .finally(() => (running -= 1));
    }
    await cluster.time.runUntil(() => failure !== undefined, lengthMs);
    isOver = true;
    nemesis.end();
    const ended = await cluster.time.runUntil(() => failure !== undefined || running === 0, drainMs);
    for (const { outcomes: some } of workloads) {
      for (const [kind, count] of some) outcomes.set(kind, (outcomes.get(kind) ?? 0) + count);
    }
    if (failure) throw failure.error;
    if (!ended) throw new Violation('an operation of a client does not end');
    await judge(cluster, model);
  } catch (error) {
    violation = error instanceof Violation ? error.message : String((error as Error).stack);
  } finally {
    cluster.dispose();
  }
  return {
    ...{ seed, plan, trace: trace.lines, outcomes, faults: nemesis.done, methods: cluster.network.called },
    ...(violation !== undefined && { violation }),
    simulatedMs: cluster.time.nowMs,
    messages: cluster.network.messages,
    fingerprint: `${cluster.network.messages}-${cluster.time.activity}`,
  };
}
