/**
 * One history: a cluster is started, clients work, things go wrong, everything is mended, and then all that was promised
 * has to hold. All of it follows from the seed.
 */
import { type Arena, Contender } from './contender.js';
import { Contest } from './contest.js';
import { drill, drillKinds } from './drill.js';
import { judge } from './judge.js';
import { Model } from './model.js';
import { Nemesis, type PlannedFault, planFaults } from './nemesis.js';
import { Operator } from './operator.js';
import { losingFaults } from './outcome.js';
import { rollBack } from './rollback.js';
import { SeededRandom } from './seeded-random.js';
import { SimulatedCluster } from './simulated-cluster.js';
import { Trace } from './trace.js';
import { Violation } from './violation.js';
import { Watcher } from './watcher.js';
import { Workload } from './workload.js';

/** How long things go wrong: as often less as more than half a minute, as more histories find more than longer ones. */
const faultsMs: readonly [number, number] = [8_000, 120_000];
/** Before anything happens, so that the watch has begun. */
const quietMs = 1_000;
/** Clients that wait for a minute and then for what is on its way end within this. */
const drainMs = 600_000;
/** Of a tracker that is behind its metadata, from its start to its end. */
const rollbackMs = 900_000;
/** Of histories, those that end with a drill: it takes half as long as all that is before it. */
const drillShare = 0.25;

export interface HistoryResult {
  readonly seed: number;
  readonly plan: readonly PlannedFault[];
  /** The promise that was broken, if one was. */
  readonly violation?: string;
  readonly trace: readonly string[];
  readonly simulatedMs: number;
  readonly messages: number;
  /** How often: faults by kind, operations by outcome, calls by method and end, keepers' tasks by kind, drills by kind. */
  readonly faults: ReadonlyMap<string, number>;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly steps: ReadonlyMap<string, number>;
  readonly tasks: ReadonlyMap<string, number>;
  readonly drills: ReadonlyMap<string, number>;
  /** The methods that are served, called or not. */
  readonly methods: ReadonlySet<string>;
  /** A hash of what happened: equal for every run of the seed. */
  readonly fingerprint: string;
}

export interface HistoryOptions {
  /** Faults of the plan, by their place in it, that are left out. */
  readonly without?: ReadonlySet<number>;
  /** Instead of what follows from the seed: for tests. */
  readonly plan?: readonly PlannedFault[];
  /** Lines of the trace that are kept, the latest ones: Infinity for all of them. */
  readonly traceLines?: number;
  /** Disks that only say that they sync: for a test of the judge. */
  readonly lyingDisks?: boolean;
}

/** Never rejects: whatever goes wrong is the violation. */
export async function runHistory(seed: number, options: HistoryOptions = {}): Promise<HistoryResult> {
  const random = new SeededRandom(seed, 'history');
  const lengthMs = Math.round(faultsMs[0] * (faultsMs[1] / faultsMs[0]) ** random.fraction());
  const planned = options.plan ?? planFaults(new SeededRandom(seed, 'plan'), lengthMs);
  const plan = planned.filter((_, index) => options.without?.has(index) !== true);
  const trace = new Trace(options.traceLines);
  const cluster = new SimulatedCluster(seed, random.integer(3, 5), trace);
  for (const { disk } of cluster.keepers) disk.lies = options.lyingDisks === true;
  const nemesis = new Nemesis(cluster, new SeededRandom(seed, 'nemesis'));
  const outcomes = new Map<string, number>();
  const drills = new Map<string, number>();
  let violation: string | undefined;
  try {
    await cluster.start();
    const model = new Model();
    const mayBeLost = (): boolean => losingFaults.some((kind) => nemesis.done.has(kind));
    const common = { trace, mayBeLost };
    const connect = (name: string) => cluster.startClient(name);
    const workloads = ['client-1', 'client-2'].map((name) => {
      const start = (onKilled: () => void) => cluster.startClient(name, onKilled);
      return new Workload({ name, connect: start, ...common, model, random: new SeededRandom(seed, name) });
    });
    const at = (path: string): Contest => new Contest(path, () => cluster.time.nowMs);
    const arena: Arena = { files: [at('/shared/x'), at('/shared/y')], log: at('/shared/log') };
    const contenders = ['client-1', 'client-2', 'client-3'].map(
      (name) =>
        new Contender({
          ...connect(name),
          ...common,
          arena,
          random: new SeededRandom(seed, `${name} shared`),
        }),
    );
    const operator = connect('operator');
    const watching = connect('watcher');
    const watcher = new Watcher(watching.client, watching.process);
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown): void => void (failure ??= { error });
    void watcher.start(fail).catch(fail);
    await cluster.time.runUntil(() => false, quietMs);
    nemesis.start(plan);
    let isOver = false;
    const isEnding = (): boolean => isOver || failure !== undefined;
    const users = [
      ...workloads,
      ...contenders,
      new Operator(operator.client, operator.process, new SeededRandom(seed, 'operator')),
    ];
    let running = users.length;
    for (const user of users) {
      void user
        .run(isEnding)
        .catch(fail)
        .finally(() => (running -= 1));
    }
    await cluster.time.runUntil(() => failure !== undefined, lengthMs);
    isOver = true;
    nemesis.end();
    const ended = await cluster.time.runUntil(() => failure !== undefined || running === 0, drainMs);
    for (const { outcomes: some } of [...workloads, ...contenders]) {
      for (const [kind, count] of some) outcomes.set(kind, (outcomes.get(kind) ?? 0) + count);
    }
    if (failure) throw failure.error;
    if (!ended) throw new Violation('an operation of a client does not end');
    if (nemesis.hasCopy) {
      const rolledBack = rollBack(cluster, new SeededRandom(seed, 'rollback'));
      await cluster.time.finish('going back to older metadata', rolledBack, rollbackMs);
    }
    await judge(cluster, model, arena, watcher);
    const drilling = new SeededRandom(seed, 'drill');
    if (drilling.chance(drillShare)) {
      const kind = drilling.pick(drillKinds(cluster.keepers.length));
      await drill(cluster, kind, drilling);
      drills.set(kind, 1);
    }
  } catch (error) {
    violation = error instanceof Violation ? error.message : String((error as Error).stack);
  } finally {
    cluster.dispose();
  }
  return {
    ...{ seed, plan, trace: trace.lines, outcomes, drills, faults: nemesis.done },
    ...{ steps: cluster.network.steps, tasks: cluster.tasks, methods: cluster.network.methods },
    ...(violation !== undefined && { violation }),
    simulatedMs: cluster.time.nowMs,
    messages: cluster.network.messages,
    fingerprint: `${cluster.network.messages}-${cluster.time.passed}`,
  };
}
