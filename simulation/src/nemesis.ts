/**
 * What goes wrong in a history: faults at random times, each of which ends by itself. One keeper of a history may lose
 * what it stored, bit by bit or all of it; the promise is about as many as that (S1).
 */
import { SeededRandom } from './seeded-random.js';
import { type SimulatedCluster, type SimulatedKeeper, dataDir } from './simulated-cluster.js';
import type { SimulatedProcess } from './simulated-process.js';

/** Of one fault, at least and at most. */
const durationMs = [500, 25_000] as const;
/** Between two faults. */
const pauseMs = [200, 8_000] as const;
/** Of calls while some are lost: as many as leave most operations, of some calls each, to end well. */
const lostShare = 0.1;
const dayMs = 24 * 3_600_000;
/** That a clock is off at most: longer than anything is kept, and over the end of a year. */
const mostDays = 400;

/** What ends a fault; undefined if there was nothing that it could hit. */
type End = (() => void) | undefined;
type Fault = (nemesis: Nemesis) => End;

/** Once in a history at most, in one of eight: it takes minutes of virtual time (rollback.ts). */
export const rollback = 'copy the metadata, to go back to it later';
const rollbackShare = 0.125;

/** Each begins, and returns what ends it, if it has come to anything. */
const faults: Readonly<Record<string, Fault>> = {
  'kill a keeper': (nemesis) => nemesis.killKeeper(false),
  'cut the power of a keeper': (nemesis) => nemesis.killKeeper(true),
  'cut the power of all keepers': (nemesis) => nemesis.killAllKeepers(),
  'stop a keeper in order': (nemesis) => nemesis.stopKeeper(),
  'kill the tracker': (nemesis) => nemesis.killTracker('told'),
  'cut the power of the tracker': (nemesis) => nemesis.killTracker('silent'),
  'stop the tracker in order': (nemesis) => nemesis.stopTracker(),
  'freeze a keeper': (nemesis) => nemesis.freezeKeeper(),
  'freeze the tracker': (nemesis) => nemesis.freezeTracker(),
  'kill a client': (nemesis) => nemesis.killClient(),
  'freeze a client': (nemesis) => nemesis.freezeClient(),
  'cut a link one way': (nemesis) => nemesis.cutLink(false),
  'cut a link both ways': (nemesis) => nemesis.cutLink(true),
  'cut a keeper off': (nemesis) => nemesis.cutOff('keeper'),
  'cut a client off': (nemesis) => nemesis.cutOff('client'),
  'hang a keeper': (nemesis) => nemesis.hang('keeper'),
  'hang the tracker': (nemesis) => nemesis.hang('tracker'),
  'slow the network': (nemesis) => nemesis.slowNetwork(),
  'repeat requests': (nemesis) => nemesis.repeatRequests(),
  'lose calls': (nemesis) => nemesis.loseCalls(),
  'slow a disk': (nemesis) => nemesis.slowDisk(),
  'fill a disk': (nemesis) => nemesis.fillDisk(),
  'fail reads': (nemesis) => nemesis.failDisk('read'),
  'fail writes': (nemesis) => nemesis.failDisk('write'),
  'fail syncs': (nemesis) => nemesis.failDisk('sync'),
  'flip bits': (nemesis) => nemesis.flipBits(),
  'misdirect writes': (nemesis) => nemesis.misdirectWrites(),
  'replace a disk': (nemesis) => nemesis.replaceDisk(),
  'change a wall clock': (nemesis) => nemesis.changeWallClock(),
  [rollback]: (nemesis) => nemesis.copyMetadata(),
};

export const faultKinds: readonly string[] = Object.keys(faults);

/** One thing that goes wrong: data, so that a history can be told without some of them. */
export interface PlannedFault {
  readonly kind: string;
  /** After the cluster has started. */
  readonly atMs: number;
  readonly durationMs: number;
  /** Whom it hits and how hard: its own numbers, whatever becomes of other faults. */
  readonly seed: number;
}

/** Faults for `lengthMs`; they overlap. */
export function planFaults(random: SeededRandom, lengthMs: number): readonly PlannedFault[] {
  const between = ([least, most]: readonly [number, number]): number =>
    least + random.fraction() * (most - least);
  const frequent = faultKinds.filter((kind) => kind !== rollback);
  const planned: PlannedFault[] = [];
  for (let atMs = between(pauseMs); atMs < lengthMs; atMs += between(pauseMs)) {
    planned.push({
      ...{ kind: random.pick(frequent), atMs, durationMs: between(durationMs) },
      seed: random.integer(0, 2 ** 31),
    });
  }
  if (random.chance(rollbackShare)) {
    // Early enough that every keeper sees more than the copy has.
    const atMs = random.fraction() * lengthMs * 0.6;
    planned.push({ kind: rollback, atMs, durationMs: 0, seed: 0 });
  }
  return planned;
}

export class Nemesis {
  readonly #cluster: SimulatedCluster;
  /** The keeper that may lose what it stored. */
  readonly #damaged: SimulatedKeeper;
  /** The numbers of the fault that begins. */
  #random: SeededRandom;
  #diskWasReplaced = false;
  /** There is a copy of the metadata that the tracker is to be started from. */
  hasCopy = false;
  #isOver = false;
  readonly #ends = new Set<() => void>();
  /** How often each kind came to pass. */
  readonly done = new Map<string, number>();

  constructor(cluster: SimulatedCluster, random: SeededRandom) {
    this.#cluster = cluster;
    this.#random = random;
    this.#damaged = random.pick(cluster.keepers);
  }

  start(planned: readonly PlannedFault[]): void {
    for (const fault of planned) {
      this.#cluster.time.after(fault.atMs, () => {
        if (!this.#isOver) this.#begin(fault);
      });
    }
  }

  /** Ends every fault; what was broken works again, and what was lost stays lost. */
  end(): void {
    this.#isOver = true;
    for (const end of this.#ends) end();
    const { network, keepers } = this.#cluster;
    network.mend();
    for (const keeper of keepers) {
      // A disk that failed once is not trusted again by the process that saw it.
      this.#cluster.killKeeper(keeper);
      keeper.disk.mend();
      this.#cluster.startKeeper(keeper);
    }
    this.#cluster.startTracker();
    this.#note('everything is mended');
  }

  #begin({ kind, durationMs: lastsMs, seed }: PlannedFault): void {
    const fault = faults[kind];
    if (!fault) throw new Error(`there is no fault "${kind}"`);
    this.#random = new SeededRandom(seed, kind);
    const undo = fault(this);
    if (!undo) return;
    this.#note(kind);
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
    const end = (): void => {
      if (!this.#ends.delete(end)) return;
      this.#note(`end of: ${kind}`);
      undo();
    };
    this.#ends.add(end);
    this.#cluster.time.after(lastsMs, end);
  }

  killKeeper(power: boolean): End {
    const keeper = this.#pick(this.#running);
    if (!keeper) return undefined;
    this.#stop(keeper, power);
    return () => this.#cluster.startKeeper(keeper);
  }

  /** Also of those that do not run: what was not synced is lost all the same. */
  killAllKeepers(): End {
    for (const keeper of this.#cluster.keepers) this.#stop(keeper, true);
    return () => this.#cluster.keepers.forEach((keeper) => this.#cluster.startKeeper(keeper));
  }

  /** It stops as its program does by itself, and is started again in the end. */
  stopKeeper(): End {
    const keeper = this.#pick(this.#running);
    if (!keeper || !this.#cluster.stopKeeper(keeper)) return undefined;
    return () => this.#cluster.startKeeper(keeper);
  }

  /** What it has on its disk is trusted: silent is only that nobody is told. */
  killTracker(how: 'told' | 'silent'): End {
    if (!this.#cluster.trackerProcess) return undefined;
    this.#cluster.killTracker(how);
    return () => this.#cluster.startTracker();
  }

  stopTracker(): End {
    return this.#cluster.stopTracker() ? () => this.#cluster.startTracker() : undefined;
  }

  freezeKeeper(): End {
    return this.#freeze(this.#pick(this.#running.filter(({ process }) => !process?.frozen))?.process);
  }

  freezeTracker(): End {
    return this.#freeze(this.#cluster.trackerProcess);
  }

  freezeClient(): End {
    const awake = this.#cluster.clients.filter(({ process }) => !process.frozen);
    return this.#freeze(this.#pick(awake)?.process);
  }

  /** Another one takes over at once. */
  killClient(): End {
    const client = this.#pick(this.#cluster.clients.filter(({ onKilled }) => onKilled !== undefined));
    if (!client) return undefined;
    this.#cluster.killClient(client);
    this.#note(`a process of ${client.name} is killed`);
    return () => undefined;
  }

  #freeze(process: SimulatedProcess | undefined): End {
    if (!process || process.frozen) return undefined;
    process.freeze();
    return () => process.thaw();
  }

  /** Between two of which one at least is a server: clients have nothing to say to each other. */
  cutLink(bothWays: boolean): End {
    const { network } = this.#cluster;
    const server = this.#random.pick(this.#servers);
    const other = this.#random.pick(this.#names.filter((name) => name !== server));
    const [from, to] = this.#random.chance(0.5) ? [server, other] : [other, server];
    network.cut(from, to);
    if (bothWays) network.cut(to, from);
    this.#note(`${from} does not reach ${to}`);
    return () => network.mendLink(from, to);
  }

  cutOff(who: 'keeper' | 'client'): End {
    const { network, keepers, clients } = this.#cluster;
    const { name } = this.#random.pick<{ readonly name: string }>(who === 'keeper' ? keepers : clients);
    const others = this.#names.filter((other) => other !== name);
    for (const other of others) {
      network.cut(name, other);
      network.cut(other, name);
    }
    this.#note(`nobody reaches ${name}`);
    return () => others.forEach((other) => network.mendLink(name, other));
  }

  /** Takes calls and never answers them. */
  hang(who: 'keeper' | 'tracker'): End {
    const { network, trackerProcess } = this.#cluster;
    const process = who === 'tracker' ? trackerProcess : this.#pick(this.#running)?.process;
    if (!process) return undefined;
    network.hang(process.name);
    return () => network.unhang(process.name);
  }

  slowNetwork(): End {
    const { network } = this.#cluster;
    network.latencyMs = [1, this.#random.integer(50, 2_000)];
    return () => network.calm();
  }

  repeatRequests(): End {
    const { network } = this.#cluster;
    network.duplicates = 0.1;
    return () => {
      network.duplicates = 0;
    };
  }

  loseCalls(): End {
    const { network } = this.#cluster;
    network.losses = lostShare;
    return () => {
      network.losses = 0;
    };
  }

  slowDisk(): End {
    const { disk } = this.#random.pick(this.#cluster.keepers);
    disk.latencyMs = [1, this.#random.integer(20, 3_000)];
    return () => disk.mend();
  }

  fillDisk(): End {
    const { disk } = this.#random.pick(this.#cluster.keepers);
    disk.freeBytes = this.#random.integer(0, 300_000);
    return () => disk.mend();
  }

  failDisk(operation: 'read' | 'write' | 'sync'): End {
    const keeper = this.#random.pick(this.#cluster.keepers);
    keeper.disk.failing = {
      operation,
      code: operation === 'read' ? 'EIO' : this.#random.pick(['EIO', 'ENOSPC']),
    };
    return () => {
      keeper.disk.mend();
      // As an operator would: after EIO a keeper wants to be started again.
      if (!keeper.wanted) return;
      this.#cluster.killKeeper(keeper);
      this.#cluster.startKeeper(keeper);
    };
  }

  flipBits(): End {
    const { disk, name } = this.#damaged;
    const pieces = disk.files(`${dataDir}/chunks`);
    if (pieces.length === 0) return undefined;
    for (let flips = Math.min(pieces.length, this.#random.integer(1, 3)); flips > 0; flips -= 1) {
      const path = this.#random.pick(pieces);
      this.#note(`a bit of ${path} on ${name} flips`);
      disk.flipBit(path);
    }
    return () => undefined;
  }

  misdirectWrites(): End {
    const { disk } = this.#damaged;
    disk.misdirected = 0.3;
    return () => disk.mend();
  }

  replaceDisk(): End {
    if (this.#diskWasReplaced) return undefined;
    this.#diskWasReplaced = true;
    const keeper = this.#damaged;
    this.#stop(keeper, true);
    keeper.disk.replace();
    return () => this.#cluster.startKeeper(keeper);
  }

  copyMetadata(): End {
    this.#cluster.copyMetadata();
    this.hasCopy = true;
    return () => undefined;
  }

  /** A clock is its machine's: it stays wrong over restarts, until somebody sets it right or for ever. */
  changeWallClock(): End {
    const name = this.#random.pick(this.#names);
    const machine = this.#cluster.machine(name);
    const days = this.#random.integer(1, mostDays) * this.#random.pick([-1, 1]);
    machine.wallOffsetMs = days * dayMs;
    this.#note(`the clock of ${name} is ${days} days off`);
    if (this.#random.chance(0.5)) return () => undefined;
    return () => {
      machine.wallOffsetMs = 0;
    };
  }

  /** One of them, if there is any. */
  #pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : this.#random.pick(items);
  }

  get #running(): readonly SimulatedKeeper[] {
    return this.#cluster.keepers.filter(({ process }) => process !== undefined);
  }

  get #servers(): readonly string[] {
    return ['tracker', ...this.#cluster.keepers.map(({ name }) => name)];
  }

  /** All that have a machine: several processes of one name share it. */
  get #names(): readonly string[] {
    return [...new Set([...this.#servers, ...this.#cluster.clients.map(({ name }) => name)])];
  }

  #stop(keeper: SimulatedKeeper, power: boolean): void {
    keeper.wanted = false;
    this.#cluster.killKeeper(keeper, power ? 'silent' : 'told');
    if (power) keeper.disk.losePower();
  }

  #note(what: string): void {
    this.#cluster.trace.add('nemesis', what);
  }
}
