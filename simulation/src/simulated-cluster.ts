/**
 * A cluster of the real tracker, keepers and clients on virtual time, with a simulated network and simulated disks. The
 * tracker's metadata is a real SQLite file, which is trusted: a killed tracker finds what it had committed.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HoldfastClient } from '@holdfast/client';
import { composeClient } from '@holdfast/client/insides';
import { type DataKeeper, startDataKeeper } from '@holdfast/data-keeper';
import type { TrackerSettings } from '@holdfast/master-tracker';
import {
  type SqliteStore,
  type TrackerCore,
  buildCore,
  createTrackerServer,
  defaultSettings,
  openDatabase,
  openSqliteStore,
  stopInOrder,
} from '@holdfast/master-tracker/insides';
import type { Logger } from '@holdfast/shared';
import { SeededRandom } from './seeded-random.js';
import { SimulatedDisk } from './simulated-disk.js';
import { SimulatedNetwork } from './simulated-network.js';
import { type Machine, SimulatedProcess } from './simulated-process.js';
import type { Trace } from './trace.js';
import { VirtualTime } from './virtual-time.js';

const trackerAddress = 'tracker:7400';
/** What a supervisor waits before it starts a program again that ended by itself. */
const restartMs = 1_000;
/** The most that it waits: twice as long each time, as supervisors do. */
const longestRestartMs = 16_000;
/** What a supervisor waits for a program that it has asked to stop: more than any takes. */
const stopLimitMs = 15_000;
/** What the tracker's disk takes for the transaction before: mutations that come meanwhile share the next one. */
const groupWithinMs = 2;
const clientMemoryBytes = 16 * 1024 * 1024;

/** Its answers carry the tasks of keepers. */
const heartbeatPath = '/holdfast.tracker.v1.KeeperRegistryService/Heartbeat';

/** Shorter than in production, so that deaths, leases and reclamation come to pass within a history. */
export const trackerSettings: TrackerSettings = {
  ...defaultSettings,
  suspectAfterMs: 3_000,
  deadAfterMs: 10_000,
  maintenanceMs: 20_000,
  uploadLeaseMs: 30_000,
  tokenLifetimeMs: 120_000,
  // Longer than a read takes that was begun before.
  reclaimGraceMs: 20_000,
  // Clients restore what they deleted some operations ago. Longer, and most of a history would be waiting for its end.
  trashRetentionMs: 20_000,
  defaultChunkSizeBytes: 65_536,
};
const keeperSettings = {
  tokenLifetimeMs: 120_000,
  // Only for people, who may undo a mistake: whatever is trashed wrongly is to be missed soon.
  trashTtlMs: 5_000,
  trashIntervalMs: 2_000,
};

/** Below it a keeper has everything. */
export const dataDir = '/data';

export class SimulatedKeeper {
  readonly name: string;
  readonly disk: SimulatedDisk;
  process: SimulatedProcess | undefined;
  keeper: DataKeeper | undefined;
  /** Whether it is meant to run: a supervisor starts it again when it ends. */
  wanted = false;
  /** Starts in a row that did not work. */
  failedStarts = 0;

  constructor(name: string, disk: SimulatedDisk) {
    this.name = name;
    this.disk = disk;
  }
}

export interface SimulatedClient {
  readonly name: string;
  readonly process: SimulatedProcess;
  readonly client: HoldfastClient;
  readonly onKilled?: () => void;
}

export class SimulatedCluster {
  readonly time = new VirtualTime();
  readonly network: SimulatedNetwork;
  readonly keepers: readonly SimulatedKeeper[];
  /** The processes of clients that live, in the order in which they started. */
  clients: readonly SimulatedClient[] = [];
  readonly trace: Trace;
  /** How often keepers were given each kind of task. */
  readonly tasks = new Map<string, number>();
  /** Told of each piece that a keeper is to fetch. */
  onFetchTask: (chunkId: string) => void = () => undefined;
  readonly #seed: number;
  readonly #directory: string;
  readonly #machines = new Map<string, Machine>();
  #starts = 0;
  /** The folder of the metadata that the tracker is started from. */
  #metadata: 'newest' | 'older' = 'newest';
  trackerProcess: SimulatedProcess | undefined;
  #store: SqliteStore | undefined;
  #core: TrackerCore | undefined;
  /** The program's own way to stop, once it serves. */
  #stopServing: (() => Promise<void>) | undefined;
  /** Whether it is meant to run. */
  #trackerIsWanted = false;

  constructor(seed: number, keepers: number, trace: Trace) {
    this.#seed = seed;
    this.trace = trace;
    trace.useClock(() => this.time.nowMs);
    this.network = new SimulatedNetwork(this.time, this.#random('network'));
    this.network.onAnswer = (path, answer) => this.#noteTasks(path, answer);
    this.#directory = mkdtempSync(join(memoryDirectory(), 'holdfast-simulation-'));
    mkdirSync(join(this.#directory, this.#metadata));
    this.keepers = Array.from({ length: keepers }, (_, index) => {
      const name = `keeper-${index + 1}`;
      return new SimulatedKeeper(name, new SimulatedDisk(this.#random(`disk of ${name}`)));
    });
  }

  /** Starts all of it. */
  async start(): Promise<void> {
    this.startTracker();
    for (const keeper of this.keepers) this.startKeeper(keeper);
    await this.time.runUntil(() => this.keepers.every(({ keeper }) => keeper !== undefined), 60_000);
  }

  /**
   * A client in a process of its own.
   *
   * @param onKilled of one that may be killed, as another then takes over
   */
  startClient(name: string, onKilled?: () => void): SimulatedClient {
    const process = this.#process(name);
    const { client } = composeClient({
      addresses: [trackerAddress],
      memoryBytes: clientMemoryBytes,
      clock: process.clock,
      random: this.#random(name),
      transport: this.network.transportOf(process),
    });
    const started = { name, process, client, ...(onKilled && { onKilled }) };
    this.clients = [...this.clients, started];
    return started;
  }

  killClient(target: SimulatedClient): void {
    this.network.killed(target.process);
    target.process.kill();
    this.clients = this.clients.filter((each) => each !== target);
    target.onKilled?.();
  }

  /** That on which the processes of this name run. */
  machine(name: string): Machine {
    const machine = this.#machines.get(name) ?? { wallOffsetMs: 0 };
    this.#machines.set(name, machine);
    return machine;
  }

  #process(name: string): SimulatedProcess {
    return new SimulatedProcess(name, this.time, this.machine(name));
  }

  get metadataPath(): string {
    return join(this.#directory, this.#metadata, 'metadata.sqlite');
  }

  /** Keeps a copy of the metadata as it is now. */
  copyMetadata(): void {
    const copy = join(this.#directory, 'older');
    rmSync(copy, { recursive: true, force: true });
    cpSync(join(this.#directory, 'newest'), copy, { recursive: true });
  }

  /** Kills the tracker, and starts it from the copy or from what it had before that. */
  restoreMetadata(from: 'newest' | 'older'): void {
    this.killTracker();
    this.#metadata = from;
    this.startTracker();
  }

  /** Starts the tracker, and starts it again for as long as that does not work. */
  startTracker(): void {
    this.#trackerIsWanted = true;
    if (this.trackerProcess) return;
    const process = this.#process('tracker');
    this.trackerProcess = process;
    this.#runTracker(process).catch((error: unknown) => {
      if (this.trackerProcess !== process) return;
      this.trace.add('tracker', `did not start: ${String(error)}`);
      this.killTracker();
      this.#trackerIsWanted = true;
      this.time.after(restartMs, () => this.#trackerIsWanted && this.startTracker());
    });
  }

  async #runTracker(process: SimulatedProcess): Promise<void> {
    const logger = this.#logger('tracker');
    const disk = this.#random("the tracker's disk");
    const store = await openSqliteStore({
      ...{ path: this.metadataPath, clock: process.clock },
      startGroup: (start) => process.after(disk.fraction() * groupWithinMs, start),
    });
    this.#store = store;
    const core = await buildCore({
      ...{ store, clock: process.clock, random: this.#random('tracker'), logger },
      settings: trackerSettings,
    });
    this.#core = core;
    const transport = this.network.transportOf(process);
    const wire = createTrackerServer({ ...core, store, settings: trackerSettings, logger, transport });
    await wire.server.listen(trackerAddress);
    core.workers.start();
    wire.setServing(true);
    this.#stopServing = async () => {
      await stopInOrder(core, wire);
      await store.close();
    };
  }

  /** By the program's own stop. Started again in time for its end, it starts then. */
  stopTracker(): boolean {
    const { trackerProcess: process } = this;
    const stop = this.#stopServing;
    if (!process || !stop) return false;
    this.#trackerIsWanted = false;
    this.#endInOrder('tracker', stop, () => {
      if (this.trackerProcess !== process) return;
      const isWanted = this.#trackerIsWanted;
      this.killTracker();
      if (isWanted) this.startTracker();
    });
    return true;
  }

  /** As a supervisor does: a program that does not come to an end by itself is killed. */
  #endInOrder(name: string, stop: () => Promise<void>, end: () => void): void {
    const stopped = (how: string) => (): void => {
      this.trace.add(name, how);
      end();
    };
    stop().then(stopped('has stopped'), (error: unknown) => stopped(`has stopped: ${String(error)}`)());
    this.time.after(stopLimitMs, end);
  }

  /** @param how others learn of it: by a connection that breaks, or not at all */
  killTracker(how: 'told' | 'silent' = 'told'): void {
    this.#trackerIsWanted = false;
    const { trackerProcess: process } = this;
    if (!process) return;
    this.network.killed(process, how);
    process.kill();
    this.#store?.abandon();
    void this.#core?.workers.stop();
    this.trackerProcess = undefined;
    this.#store = undefined;
    this.#core = undefined;
    this.#stopServing = undefined;
  }

  /** Starts a keeper, and starts it again for as long as that does not work. */
  startKeeper(target: SimulatedKeeper): void {
    target.wanted = true;
    if (target.process) return;
    const process = this.#process(target.name);
    target.process = process;
    startDataKeeper({
      dataDir,
      listen: `${target.name}:7500`,
      tracker: trackerAddress,
      clock: process.clock,
      random: this.#random(target.name),
      fileSystem: target.disk.viewOf(process),
      transport: this.network.transportOf(process),
      logger: this.#logger(target.name),
      settings: keeperSettings,
    }).then(
      (keeper) => {
        if (target.process !== process) return;
        target.keeper = keeper;
        target.failedStarts = 0;
      },
      (error: unknown) => {
        if (target.process !== process) return;
        this.trace.add(target.name, `did not start: ${String(error)}`);
        this.killKeeper(target);
        const waitMs = Math.min(longestRestartMs, restartMs * 2 ** target.failedStarts);
        target.failedStarts += 1;
        this.time.after(waitMs, () => target.wanted && this.startKeeper(target));
      },
    );
  }

  /** By the program's own stop. Started again in time for its end, it starts then. */
  stopKeeper(target: SimulatedKeeper): boolean {
    const { process, keeper } = target;
    if (!process || !keeper) return false;
    target.wanted = false;
    this.#endInOrder(
      target.name,
      () => keeper.stop(),
      () => {
        if (target.process !== process) return;
        this.killKeeper(target);
        if (target.wanted) this.startKeeper(target);
      },
    );
    return true;
  }

  /** @param how others learn of it: by a connection that breaks, or not at all */
  killKeeper(target: SimulatedKeeper, how: 'told' | 'silent' = 'told'): void {
    const { process } = target;
    if (!process) return;
    this.network.killed(process, how);
    process.kill();
    target.process = undefined;
    target.keeper = undefined;
  }

  /** The tracker's tables, looked at from outside. */
  query(sql: string): Readonly<Record<string, string | number | Uint8Array | null>>[] {
    const database = openDatabase(this.metadataPath, { readOnly: true });
    try {
      return database.prepare(sql).all([]) as ReturnType<SimulatedCluster['query']>;
    } finally {
      database.close();
    }
  }

  /** Ends everything and removes what is on the real disk. */
  dispose(): void {
    for (const keeper of this.keepers) {
      keeper.wanted = false;
      this.killKeeper(keeper);
    }
    this.killTracker();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #noteTasks(path: string, answer: unknown): void {
    if (path !== heartbeatPath) return;
    const { tasks } = answer as {
      tasks: readonly { action: string; fetchPiece?: { chunkId: string } | null }[];
    };
    for (const { action, fetchPiece } of tasks) {
      this.tasks.set(action, (this.tasks.get(action) ?? 0) + 1);
      if (fetchPiece) this.onFetchTask(fetchPiece.chunkId);
    }
  }

  /** Numbers of its own for each user, and for each of its starts. */
  #random(name: string): SeededRandom {
    return new SeededRandom(this.#seed, `${name} ${this.#starts++}`);
  }

  #logger(name: string): Logger {
    const line = (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) =>
      this.trace.add(name, `${level} ${message}`, fields);
    const logger: Logger = {
      debug: () => undefined,
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      child: () => logger,
    };
    return logger;
  }
}

/** Where a sync costs nothing: it is not the real disk that is tried here. */
function memoryDirectory(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}
