/**
 * A cluster of real processes that lives through one phase of the fire after the other. In each, clients work while
 * faults come and go by a plan; then everything is mended, and all is judged: nothing acknowledged is lost or changed,
 * the cluster is whole, nobody holds more than before, and work is as fast as before.
 */
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster, Member, UnexpectedExit } from '@holdfast/local-cluster';
import { appendFileSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readAll, seededBytes } from '../../support/files.js';
import {
  type Footprints,
  type Holder,
  expectNothingHeld,
  footprintsOf,
  serversOf,
} from '../../support/footprint.js';
import { Ledger, Violation } from '../../support/ledger.js';
import { LoopDisk, missingForHungReads, missingForHungWrites } from '../../support/loop-disk.js';
import { expectHealed } from '../../support/oracle.js';
import { quickProcessCluster } from '../../support/quick-cluster.js';
import { numbersFrom } from '../../support/seeded-numbers.js';
import { waitFor } from '../../support/wait.js';
import { Commands } from './commands.js';
import { bringAbout } from './faults.js';
import { type FaultKind, type PhaseShape, type PlannedFault, mayBeBeside, planPhase } from './plan.js';
import { Tally } from './tally.js';
import { Watcher } from './watcher.js';
import { Work } from './work.js';

/** Lines of the log that are kept in memory, to be shown after a violation. */
const keptLines = 200;
/** Of the log of a process that ended by itself: its last words, with their stack. */
const saidChars = 2_000;
/** Below the range of ports that the system gives to connections, which would take a port while its server is down. */
const portRange = { first: 10_000, last: 30_000 } as const;
/** Trash, quarantine and what phases leave for some minutes fit as well. */
const diskBytes = 512 * 1024 ** 2;
/** Clients wait for a minute for a tracker, commands begin anew, and the machine has others. */
const drainLimitMs = 240_000;
/** Of what a phase leaves on a disk: seconds. */
const scrubLimitMs = 120_000;
/** Of clients in this process. */
const workers = 3;

/** What is transferred to see how fast the cluster is: some seconds at most. */
const batch = { files: 6, sizeBytes: 1024 ** 2 } as const;
/** The promise is 90 % within a minute; the machine is shared, so twice as long and a second may be its fault. */
const goodput = { limitMs: 60_000, factor: 2, slackMs: 1_000 } as const;

export interface FireOptions {
  /** Where everything is kept; it is there. */
  readonly folder: string;
  readonly keepers: number;
  /** Of tests/support, what the servers import before they start. */
  readonly preloads?: readonly string[];
  /** Told every line of the log. */
  readonly onLine?: (line: string) => void;
}

/** How a cluster without faults stands. */
export interface Calm {
  readonly footprints: Footprints;
  readonly batchMs: number;
}

export class Fire {
  readonly tally = new Tally();
  /** How often each kind of fault came to pass. */
  readonly faults = new Map<FaultKind, number>();
  readonly #present = new Set<PlannedFault>();
  /** The end of the log. */
  readonly lines: string[] = [];
  readonly ledger = new Ledger();
  /** Before the first phase, and after the last one. */
  calm: { readonly before: Calm; readonly after: Calm } | undefined;
  readonly #options: FireOptions;
  readonly #startMs = performance.now();
  #cluster: Cluster | undefined;
  #disk: LoopDisk | undefined;
  readonly #clients: HoldfastClient[] = [];
  #watcher: Watcher | undefined;
  #unexpectedExit: UnexpectedExit | undefined;

  private constructor(options: FireOptions) {
    this.#options = options;
  }

  /** Starts the cluster, and sees how it stands after some work without faults. @throws Violation */
  static async start(options: FireOptions): Promise<Fire> {
    const fire = new Fire(options);
    try {
      await fire.#start();
      return fire;
    } catch (error) {
      await fire.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { folder, keepers, preloads = [] } = this.#options;
    const dataDir = join(folder, 'cluster');
    if (missingForHungWrites() === undefined) {
      this.#disk = await LoopDisk.make(join(dataDir, 'keeper-1'), join(folder, 'disk.img'), diskBytes);
    }
    await mkdir(dataDir, { recursive: true });
    const { first, last } = portRange;
    const port = first + Math.floor(Math.random() * (last - first));
    this.#cluster = await quickProcessCluster(keepers, dataDir, {
      ...{ faults: true, logs: 'files', trackerPort: port, firstKeeperPort: port + 1 },
      preloads: ['shifted-clock.mjs', ...preloads],
      onUnexpectedExit: (exit) => (this.#unexpectedExit ??= exit),
      trackerFlags: { 'trash-retention': '5s' },
    });
    // One for all that work in turn, and one each: connections that many share, and connections that are alone.
    for (let count = 0; count < 2; count += 1) this.#clients.push(await this.cluster.connect());
    this.#watcher = new Watcher(await this.cluster.connect());
    await this.#watcher.start();
    this.log(`started ${keepers} keepers, disk: ${this.#diskKind()}`);
    await this.#measureBatch();
    const before = { footprints: await footprintsOf(this.#everybody), batchMs: await this.#measureBatch() };
    this.calm = { before, after: before };
  }

  get cluster(): Cluster {
    if (!this.#cluster) throw new Error('the cluster has not started');
    return this.#cluster;
  }

  log(line: string): void {
    const seconds = ((performance.now() - this.#startMs) / 1_000).toFixed(1).padStart(7);
    const text = `${seconds} ${line}`;
    this.lines.push(text);
    if (this.lines.length > keptLines) this.lines.shift();
    appendFileSync(join(this.#options.folder, 'fire.log'), `${text}\n`);
    this.#options.onLine?.(text);
  }

  /** Everything goes wrong that the seed says, and is mended and judged. @throws Violation, or what the judge throws */
  async phase(seed: number, lengthMs: number): Promise<void> {
    const shape = { lengthMs, keepers: this.#options.keepers, disk: this.#diskKind() };
    this.log(`phase with seed ${seed}`);
    let isOver = false;
    let failure: { readonly error: unknown } | undefined;
    const isEnding = (): boolean => isOver || failure !== undefined;
    const failing = (work: Promise<void>): Promise<void> =>
      work.catch((error: unknown) => void (failure ??= { error }));
    const work = this.#work(seed).map(({ run }) => failing(run(isEnding)));
    const plan = planPhase(seed, shape);
    await Promise.all(plan.map((fault) => failing(this.#befall(fault, isEnding))));
    while (!isEnding() && plan.length === 0) await sleep(100);
    isOver = true;
    if (!failure) this.log('everything is mended');
    const ended = Promise.all(work).then(() => true);
    const isDrained = await Promise.race([ended, sleep(drainLimitMs, false, { ref: false })]);
    // Whoever ended is why others failed.
    this.#assertNoneEnded();
    if (failure) throw failure.error;
    if (!isDrained) throw new Violation('an operation of a client does not end');
    await this.#judge();
  }

  /** Who works in a phase. */
  #work(seed: number): { run(isOver: () => boolean): Promise<void> }[] {
    const { ledger, tally } = this;
    const log = (line: string): void => this.log(line);
    const programs = Array.from({ length: workers }, (_, index) => {
      const name = `program-${index + 1}`;
      const client = this.#clients[index % this.#clients.length]!;
      return new Work({ name, client, ledger, tally, log, numbers: numbersFrom(seed * workers + index) });
    });
    const commands = new Commands({
      ...{ tracker: this.cluster.trackerAddress, folder: join(this.#options.folder, 'commands') },
      ...{ ledger, tally, log, numbers: numbersFrom(-seed) },
    });
    return [...programs, commands].map((each) => ({ run: (isOver) => each.run(isOver) }));
  }

  async #befall(fault: PlannedFault, isEnding: () => boolean): Promise<void> {
    const { kind, victim, atMs, durationMs } = fault;
    await sleep(atMs);
    const name = typeof victim === 'number' ? `keeper-${victim + 1}` : victim;
    if (isEnding()) return;
    // Where the machine is late, what went before may still be there.
    if (!mayBeBeside(fault, [...this.#present], this.#options.keepers)) {
      this.log(`${name}: not ${kind}, as others last longer than planned`);
      return;
    }
    this.log(`${name}: ${kind}`);
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.#present.add(fault);
    const end = await bringAbout(fault, { cluster: this.cluster, disk: this.#disk });
    await sleep(durationMs);
    await end();
    this.#present.delete(fault);
    this.log(`${name}: no longer ${kind}`);
  }

  async #judge(): Promise<void> {
    this.#assertNoneEnded();
    await this.#scrub();
    await expectHealed(this.cluster, this.ledger, { stop: false });
    await waitFor('the watcher to have been told everything', () => this.#watcher!.assertTold());
    await this.#forgetTheGone();
    this.#assertNoneEnded();
    this.log('whole');
  }

  /** After some phases: nobody holds more than before them, and transfers are as fast. @throws Error that says who does */
  async rest(): Promise<void> {
    const { before } = this.calm!;
    const startMs = performance.now();
    const limitMs = before.batchMs * goodput.factor + goodput.slackMs;
    const batchMs = await waitFor(
      `transfers to be as fast as before (${Math.round(before.batchMs)} ms)`,
      async () => {
        const tookMs = await this.#measureBatch();
        if (tookMs > limitMs) throw new Error(`they take ${Math.round(tookMs)} ms`);
        return tookMs;
      },
      goodput.limitMs,
    );
    const footprints = await expectNothingHeld(this.#everybody, before.footprints);
    this.#assertNoneEnded();
    this.calm = { before, after: { footprints, batchMs } };
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
    this.log(
      `rested for ${seconds} s: a batch takes ${Math.round(batchMs)} ms, before ${Math.round(before.batchMs)} ms`,
    );
  }

  /** Bits that flipped where nobody reads are for the scrub to find. */
  async #scrub(): Promise<void> {
    const client = await this.cluster.connect();
    const ids = this.cluster.keepers.map(({ keeperId }) => keeperId);
    await waitFor(
      'all to be live',
      async () => {
        const live = (await client.keepers()).filter(({ state }) => state === 'live');
        return ids.every((id) => live.some(({ keeperId }) => keeperId === id));
      },
      scrubLimitMs,
    );
    const job = await client.scrub(ids);
    const { state, text } = await client.waitForJob(job, { signal: AbortSignal.timeout(scrubLimitMs) });
    if (state !== 'done') throw new Violation(`the scrub is ${state}: ${text}`);
    client.close();
  }

  /** Whose disks were wiped. They would be more with every phase. */
  async #forgetTheGone(): Promise<void> {
    const client = await this.cluster.connect();
    for (const { keeperId, state } of await client.keepers()) {
      if (state === 'dead') await client.forgetKeeper(keeperId);
    }
    client.close();
  }

  /** Nobody ends whom nobody ends. */
  #assertNoneEnded(): void {
    if (!this.#unexpectedExit) return;
    const { command, pid, reason } = this.#unexpectedExit;
    const dataDir = command[command.indexOf('--data-dir') + 1];
    const said = readFileSync(`${dataDir}.log`, 'utf8').slice(-saidChars);
    throw new Violation(`process ${pid} ended by itself (${reason}): ${command.join(' ')}\n${said}`);
  }

  /** The servers, and the clients, which are this process. */
  get #everybody(): readonly Holder[] {
    return [...serversOf(this.cluster), { name: 'the clients', pid: process.pid }];
  }

  /** How long it takes to store and read some files. */
  async #measureBatch(): Promise<number> {
    const client = await this.cluster.connect();
    const startMs = performance.now();
    const files = Array.from({ length: batch.files }, (_, index) => `/batch-${index}`);
    await Promise.all(
      files.map(async (path, index) => {
        await this.ledger.upload(client, path, seededBytes(index, batch.sizeBytes), { minWrite: 3 });
        await readAll(client.createReadStream(path));
      }),
    );
    const tookMs = performance.now() - startMs;
    client.close();
    return tookMs;
  }

  #diskKind(): PhaseShape['disk'] {
    if (!this.#disk) return 'none';
    return missingForHungReads() === undefined ? 'own, with reads that can hang' : 'own';
  }

  /** Ends everything, however it stands; the files stay. */
  async stop(): Promise<void> {
    const members: readonly Member[] = this.#cluster ? [this.#cluster.tracker, ...this.#cluster.keepers] : [];
    this.#watcher?.stop();
    // Nobody ends while its disk hangs.
    await this.#disk?.thaw().catch(() => undefined);
    await this.#disk?.releaseReads();
    await Promise.all(members.map((member) => member.kill()));
    await this.#cluster?.stop();
    await this.#disk?.remove();
  }
}
