/**
 * What goes wrong in a history: faults at random times, each of which ends by itself. One keeper of a history may lose
 * what it stored, bit by bit or all of it; the promise is about as many as that (S1).
 */
import { SeededRandom } from './seeded-random.js';
import { type SimulatedCluster, type SimulatedKeeper, dataDir } from './simulated-cluster.js';

/** Of one fault, at least and at most. */
const durationMs = [500, 25_000] as const;
/** Between two faults. */
const pauseMs = [200, 8_000] as const;

type Fault = (nemesis: Nemesis) => () => void;

/** Once in a history at most, in one of eight: it takes minutes of virtual time (rollback.ts). */
export const rollback = 'copy the metadata, to go back to it later';
const rollbackShare = 0.125;

/** Each begins, and returns what ends it. */
const faults: Readonly<Record<string, Fault>> = {
  'kill a keeper': (nemesis) => nemesis.killKeeper(false),
  'cut the power of a keeper': (nemesis) => nemesis.killKeeper(true),
  'cut the power of all keepers': (nemesis) => nemesis.killAllKeepers(),
  'kill the tracker': (nemesis) => nemesis.killTracker(),
  'freeze a keeper': (nemesis) => nemesis.freezeKeeper(),
  'freeze the tracker': (nemesis) => nemesis.freezeTracker(),
  'cut a link one way': (nemesis) => nemesis.cutLink(false),
  'cut a link both ways': (nemesis) => nemesis.cutLink(true),
  'cut a keeper off': (nemesis) => nemesis.cutOff(),
  'hang a keeper': (nemesis) => nemesis.hang('keeper'),
  'hang the tracker': (nemesis) => nemesis.hang('tracker'),
  'slow the network': (nemesis) => nemesis.slowNetwork(),
  'repeat requests': (nemesis) => nemesis.repeatRequests(),
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
    this.#note(kind);
    this.done.set(kind, (this.done.get(kind) ?? 0) + 1);
    this.#random = new SeededRandom(seed, kind);
    const undo = fault(this);
    const end = (): void => {
      if (!this.#ends.delete(end)) return;
      this.#note(`end of: ${kind}`);
      undo();
    };
    this.#ends.add(end);
    this.#cluster.time.after(lastsMs, end);
  }

  killKeeper(power: boolean): () => void {
    const keeper = this.#random.pick(this.#cluster.keepers);
    this.#stop(keeper, power);
    return () => this.#cluster.startKeeper(keeper);
  }

  killAllKeepers(): () => void {
    for (const keeper of this.#cluster.keepers) this.#stop(keeper, true);
    return () => this.#cluster.keepers.forEach((keeper) => this.#cluster.startKeeper(keeper));
  }

  killTracker(): () => void {
    this.#cluster.killTracker();
    return () => this.#cluster.startTracker();
  }

  freezeKeeper(): () => void {
    const { process } = this.#random.pick(this.#cluster.keepers);
    process?.freeze();
    return () => process?.thaw();
  }

  freezeTracker(): () => void {
    const { trackerProcess } = this.#cluster;
    trackerProcess?.freeze();
    return () => trackerProcess?.thaw();
  }

  cutLink(bothWays: boolean): () => void {
    const { network, keepers } = this.#cluster;
    const names = ['tracker', 'client-1', 'client-2', ...keepers.map(({ name }) => name)];
    const [from, to] = [this.#random.pick(names), this.#random.pick(names)];
    network.cut(from, to);
    if (bothWays) network.cut(to, from);
    return () => network.mendLink(from, to);
  }

  cutOff(): () => void {
    const { network, keepers } = this.#cluster;
    const { name } = this.#random.pick(keepers);
    const others = ['tracker', 'client-1', 'client-2', ...keepers.map((keeper) => keeper.name)];
    for (const other of others) {
      network.cut(name, other);
      network.cut(other, name);
    }
    return () => others.forEach((other) => network.mendLink(name, other));
  }

  /** Takes calls and never answers them. */
  hang(who: 'keeper' | 'tracker'): () => void {
    const { network, keepers } = this.#cluster;
    const name = who === 'tracker' ? who : this.#random.pick(keepers).name;
    network.hang(name);
    return () => network.unhang(name);
  }

  slowNetwork(): () => void {
    const { network } = this.#cluster;
    network.latencyMs = [1, this.#random.integer(50, 2_000)];
    return () => network.calm();
  }

  repeatRequests(): () => void {
    const { network } = this.#cluster;
    network.duplicates = 0.1;
    return () => {
      network.duplicates = 0;
    };
  }

  slowDisk(): () => void {
    const { disk } = this.#random.pick(this.#cluster.keepers);
    disk.latencyMs = [1, this.#random.integer(20, 3_000)];
    return () => disk.mend();
  }

  fillDisk(): () => void {
    const { disk } = this.#random.pick(this.#cluster.keepers);
    disk.freeBytes = this.#random.integer(0, 300_000);
    return () => disk.mend();
  }

  failDisk(operation: 'read' | 'write' | 'sync'): () => void {
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

  flipBits(): () => void {
    const { disk, name } = this.#damaged;
    const pieces = disk.files(`${dataDir}/chunks`);
    for (let flips = Math.min(pieces.length, this.#random.integer(1, 3)); flips > 0; flips -= 1) {
      const path = this.#random.pick(pieces);
      this.#note(`a bit of ${path} on ${name} flips`);
      disk.flipBit(path);
    }
    return () => undefined;
  }

  misdirectWrites(): () => void {
    const { disk } = this.#damaged;
    disk.misdirected = 0.3;
    return () => disk.mend();
  }

  replaceDisk(): () => void {
    if (this.#diskWasReplaced) return () => undefined;
    this.#diskWasReplaced = true;
    const keeper = this.#damaged;
    this.#stop(keeper, true);
    keeper.disk.replace();
    return () => this.#cluster.startKeeper(keeper);
  }

  copyMetadata(): () => void {
    this.#cluster.copyMetadata();
    this.hasCopy = true;
    return () => undefined;
  }

  changeWallClock(): () => void {
    const offsetMs = this.#random.integer(-400, 400) * 24 * 3_600_000;
    const keeper = this.#random.pick(this.#cluster.keepers);
    const process = this.#random.chance(0.5) ? this.#cluster.trackerProcess : keeper.process;
    if (process) process.wallOffsetMs = offsetMs;
    return () => undefined;
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
