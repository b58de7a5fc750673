/**
 * A drill, with which some histories end: in a cluster that is whole one thing goes wrong and stays wrong, a client goes on
 * with its work, and the liveness goals are held against the clock. Histories themselves say little of them: while one
 * fault follows the other nobody can say when something should have come.
 */
import { type HoldfastClient, HoldfastError } from '@holdfast/client';
import { problemsOf, wholeWithinMs } from './judge.js';
import type { SeededRandom } from './seeded-random.js';
import { type SimulatedCluster, type SimulatedKeeper, trackerSettings } from './simulated-cluster.js';
import type { SimulatedProcess } from './simulated-process.js';
import { Violation } from './violation.js';

/** Goals: a read goes on elsewhere within this when a keeper that it needs is gone; */
const failoverMs = 3_000;
/** a chunk with one piece left is being copied within this, from when its other pieces do not count any more; */
const copyingMs = 15_000;
/** and within this as much is done in a given time as before. */
const goodputMs = 60_000;
/** What counts as that much. */
const goodputShare = 0.9;

/** In which what is done is counted. */
const windowMs = 10_000;
/** From the begin of one operation to the next: some twenty reads and ten writes in a window. */
const paceMs = { read: 500, write: 1_000 } as const;
/** As many chunks as it takes for some of every keeper. */
const fileCount = 6;
const mostBytes = 150_000;
const lookMs = 500;

/** Resolves to what ends it. */
type Fault = (cluster: SimulatedCluster, keeper: SimulatedKeeper) => () => void;

interface Exercise {
  readonly fault: Fault;
  /** How many are hit at once, if keepers are; every chunk has one piece more. */
  readonly keepers: number;
  /** It ends by then; it stays if there is none. */
  readonly lastsMs?: number;
  /** Whether reads find what they need elsewhere: not where nobody can say where that is. */
  readonly readsGoOn: boolean;
  /** Whether pieces of the keeper are copied soon, or none is as it is waited for; undefined where neither is promised. */
  readonly copies?: 'soon' | 'none';
}

const ofKeeper = (fault: Fault): Exercise => ({ fault, keepers: 1, readsGoOn: true, copies: 'soon' });
/** The brake on repair holds then, but not for last pieces. */
const ofTwoKeepers = (fault: Fault): Exercise => ({ ...ofKeeper(fault), keepers: 2 });
/** The tracker goes on hearing of the keeper, so that what it has counts. */
const ofLiveKeeper = (fault: Fault): Exercise => ({ fault, keepers: 1, readsGoOn: true });
/** Clients wait for a tracker for longer than this. */
const ofTracker = (fault: Fault): Exercise => ({ fault, keepers: 1, readsGoOn: false, lastsMs: 10_000 });

const kill: Fault = (cluster, keeper) => {
  keeper.wanted = false;
  cluster.killKeeper(keeper);
  return () => cluster.startKeeper(keeper);
};
const freeze: Fault = (_, { process }) => {
  process?.freeze();
  return () => process?.thaw();
};

const exercises: Readonly<Record<string, Exercise>> = {
  'a keeper is killed': ofKeeper(kill),
  'two keepers are killed': ofTwoKeepers(kill),
  "a keeper's power is cut": ofKeeper((cluster, keeper) => {
    keeper.wanted = false;
    cluster.killKeeper(keeper, 'silent');
    keeper.disk.losePower();
    return () => cluster.startKeeper(keeper);
  }),
  'a keeper is frozen': ofKeeper(freeze),
  'two keepers are frozen': ofTwoKeepers(freeze),
  'a keeper hangs': ofLiveKeeper(({ network }, { name }) => {
    network.hang(name);
    return () => network.unhang(name);
  }),
  'a keeper is cut off': ofKeeper(({ network, clients, keepers }, { name }) => {
    const others = ['tracker', ...[...clients, ...keepers].map((each) => each.name)];
    for (const other of others) {
      network.cut(name, other);
      network.cut(other, name);
    }
    return () => others.forEach((other) => network.mendLink(name, other));
  }),
  'a keeper stops in order': {
    ...ofKeeper((cluster, keeper) => {
      cluster.stopKeeper(keeper);
      return () => cluster.startKeeper(keeper);
    }),
    copies: 'none',
  },
  'a disk gives no reads': ofLiveKeeper((cluster, keeper) => {
    keeper.disk.failing = { operation: 'read', code: 'EIO' };
    return () => restart(cluster, keeper);
  }),
  'a disk stands still': ofLiveKeeper((cluster, keeper) => {
    // For longer than any drill takes.
    keeper.disk.latencyMs = [3_600_000, 3_600_000];
    return () => restart(cluster, keeper);
  }),
  'the tracker is killed': ofTracker((cluster) => {
    cluster.killTracker();
    return () => cluster.startTracker();
  }),
  'the tracker is frozen': ofTracker(({ trackerProcess: process }) => {
    process?.freeze();
    return () => process?.thaw();
  }),
};

/** What can happen in a cluster of so many keepers: two are left, as many as acknowledge a write. */
export function drillKinds(keepers: number): string[] {
  return Object.keys(exercises).filter((kind) => (exercises[kind]?.keepers ?? 0) + 2 <= keepers);
}

/** A disk that was not well is not trusted again by the process that saw it. */
function restart(cluster: SimulatedCluster, keeper: SimulatedKeeper): void {
  cluster.killKeeper(keeper);
  keeper.disk.mend();
  cluster.startKeeper(keeper);
}

/**
 * Runs one drill in a cluster that is whole, and leaves it whole.
 *
 * @throws Violation
 */
export async function drill(cluster: SimulatedCluster, kind: string, random: SeededRandom): Promise<void> {
  const exercise = exercises[kind];
  if (!exercise) throw new Error(`there is no drill "${kind}"`);
  const { time, trace } = cluster;
  const { client, process } = cluster.startClient('drill');
  const whole = async (): Promise<void> => {
    while ((await problemsOf(client, cluster)).length > 0) await process.clock.sleep(lookMs);
  };
  const work = new Work(client, process, random, exercise.keepers + 1);
  /** Resolves to whether it came to be in time. */
  const until = async (isDone: () => boolean, atMs: number): Promise<boolean> => {
    const isIt = await time.runUntil(() => work.failure !== undefined || isDone(), atMs - time.nowMs);
    if (work.failure) throw work.failure.error;
    return isIt;
  };
  const never = (): boolean => false;

  await time.finish('storing the files of a drill', work.store().then(whole), wholeWithinMs);
  work.start();
  await until(never, time.nowMs + windowMs);
  const calm = work.calm();
  const first = random.integer(0, cluster.keepers.length - 1);
  // Two in a row are any two.
  const hit = [...cluster.keepers, ...cluster.keepers].slice(first, first + exercise.keepers);
  const lastPieces = lastPiecesWithout(cluster, hit);
  const copied = new Set<string>();
  cluster.onFetchTask = (chunkId) => copied.add(chunkId);
  const names = hit.map(({ name }) => name).join(' and ');
  trace.add('drill', `${kind}: ${names}; ${lastPieces.length} chunks with one more piece`);

  const { lastsMs = 0, readsGoOn, copies } = exercise;
  const beganMs = time.nowMs;
  let ends = hit.map((keeper) => exercise.fault(cluster, keeper));
  const endOnce = (): void => {
    ends.forEach((end) => end());
    ends = [];
  };
  if (lastsMs > 0) time.after(lastsMs, endOnce);
  if (readsGoOn) work.mostReadMs = failoverMs + calm.slowestReadMs;
  const isBack = (): boolean =>
    time.nowMs >= beganMs + lastsMs + windowMs && work.doneIn(windowMs) >= goodputShare * calm.done;
  if (!(await until(isBack, beganMs + lastsMs + goodputMs))) {
    throw new Violation(`${kind}: ${goodputMs} ms later not as much is done as before`);
  }
  trace.add('drill', `${work.doneIn(windowMs)} of ${calm.done} done in ${windowMs} ms again`);
  if (copies === 'soon') {
    await until(never, Math.max(time.nowMs, beganMs + trackerSettings.deadAfterMs + copyingMs));
    const { repair } = await time.finish('asking for the brake', client.status(), failoverMs);
    if (exercise.keepers > 1 && !repair.braked) {
      throw new Violation(`${kind}: the brake on repair does not hold`);
    }
    const left = lastPieces.filter((chunkId) => !copied.has(chunkId));
    if (left.length > 0) throw new Violation(`${kind}: nobody copies the last pieces of ${left.join(', ')}`);
  }
  if (copies === 'none') {
    await until(never, Math.max(time.nowMs, beganMs + trackerSettings.maintenanceMs));
    const some = lastPieces.filter((chunkId) => copied.has(chunkId));
    if (some.length > 0)
      throw new Violation(`${kind}: it is waited for, and pieces of ${some.join(', ')} are copied`);
  }
  endOnce();
  await time.finish('ending a drill', work.end().then(whole), wholeWithinMs);
  await until(never, time.nowMs);
}

/** The chunks that have one piece left if these keepers are gone. */
function lastPiecesWithout(cluster: SimulatedCluster, keepers: readonly SimulatedKeeper[]): string[] {
  const ids = keepers.map(({ keeper }) => `'${keeper?.keeperId}'`).join(', ');
  return cluster
    .query(
      `SELECT chunk_id AS id FROM chunks JOIN pieces USING (chunk_id) JOIN keepers USING (keeper_id)
         WHERE chunks.state = 'live' AND pieces.state = 'durable' AND dead = 0
         GROUP BY chunk_id HAVING count(*) > 1 AND sum(keeper_id NOT IN (${ids})) = 1`,
    )
    .map(({ id }) => String(id));
}

/** What a client does all the time: it reads some files in turn, and stores others. */
class Work {
  readonly #client: HoldfastClient;
  readonly #process: SimulatedProcess;
  readonly #replicas: number;
  readonly #files: readonly { readonly path: string; readonly content: Buffer }[];
  /** When operations ended, in order. */
  readonly #doneMs: number[] = [];
  #slowestReadMs = 0;
  #isOver = false;
  #running: Promise<unknown> = Promise.resolve();
  /** That a read may take. */
  mostReadMs = Infinity;
  /** Of an operation: none may fail, as each file has a piece elsewhere, and clients wait for a tracker. */
  failure: { readonly error: unknown } | undefined;

  /** @param replicas of everything that is stored */
  constructor(client: HoldfastClient, process: SimulatedProcess, random: SeededRandom, replicas: number) {
    this.#client = client;
    this.#process = process;
    this.#replicas = replicas;
    this.#files = Array.from({ length: fileCount }, (_, index) => ({
      path: `/drill/${index}`,
      content: random.bytes(random.integer(1, mostBytes)),
    }));
  }

  async store(): Promise<void> {
    for (const { path, content } of this.#files) {
      await this.#client.upload(content, path, { replicas: this.#replicas, createParents: true });
    }
  }

  start(): void {
    const loops = [
      this.#loop(paceMs.read, (turn) => this.#read(turn)),
      this.#loop(paceMs.write, (turn) => this.#write(turn)),
    ];
    this.#running = Promise.all(loops);
  }

  /** Resolves when the last operation has ended. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  doneIn(durationMs: number): number {
    const fromMs = this.#process.clock.monotonicMs() - durationMs;
    return this.#doneMs.filter((doneMs) => doneMs > fromMs).length;
  }

  /** What is usual, as of now. */
  calm(): { readonly done: number; readonly slowestReadMs: number } {
    return { done: this.doneIn(windowMs), slowestReadMs: this.#slowestReadMs };
  }

  /** One after the other, begun at its pace; what takes longer makes the others come later. */
  async #loop(everyMs: number, operate: (turn: number) => Promise<void>): Promise<void> {
    const { clock } = this.#process;
    try {
      for (let turn = 0; !this.#isOver; turn += 1) {
        const beganMs = clock.monotonicMs();
        await operate(turn);
        const nowMs = clock.monotonicMs();
        this.#doneMs.push(nowMs);
        await clock.sleep(Math.max(0, beganMs + everyMs - nowMs));
      }
    } catch (error) {
      this.failure ??= {
        error: HoldfastError.is(error)
          ? new Violation(`in a drill an operation ends with ${String(error)}`)
          : error,
      };
    }
  }

  async #read(turn: number): Promise<void> {
    const file = this.#files[turn % this.#files.length];
    if (!file) return;
    const { clock } = this.#process;
    const beganMs = clock.monotonicMs();
    const parts: Uint8Array[] = [];
    for await (const part of this.#client.createReadStream(file.path)) parts.push(part as Uint8Array);
    const tookMs = clock.monotonicMs() - beganMs;
    this.#slowestReadMs = Math.max(this.#slowestReadMs, tookMs);
    if (!Buffer.concat(parts).equals(file.content)) throw new Violation(`${file.path} has other bytes`);
    if (tookMs > this.mostReadMs) {
      throw new Violation(
        `a read of ${file.path} takes ${Math.round(tookMs)} of ${Math.round(this.mostReadMs)} ms`,
      );
    }
  }

  async #write(turn: number): Promise<void> {
    const { content } = this.#files[turn % this.#files.length] ?? {};
    const options = { replicas: this.#replicas, overwrite: true };
    if (content) await this.#client.upload(content, '/drill/written', options);
  }
}
