/**
 * A tracker's core on a generated database, in a process of its own: the keepers are nothing but their words, and
 * time is what the measurement says it is. Each step is timed alone, with the longest time for which it held
 * everybody else up, and the most memory that the process had meanwhile.
 */
import { type Clock, limits, silentLogger } from '@holdfast/shared';
import { systemClock, systemRandom } from '@holdfast/shared/node';
import {
  type SqliteStore,
  type TrackerCore,
  buildCore,
  defaultSettings,
  giveUpNextPage,
  openSqliteStore,
  queueNextPage,
} from '@holdfast/master-tracker/insides';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { serve } from '../children/serve.js';
import { meter } from '../machine/usage.js';
import {
  type Population,
  chunkBytes,
  chunkIdOf,
  chunksOfUpload,
  digestOf,
  generate,
  keeperIdOf,
  keepersOf,
  storageIdOf,
  uploadIdOf,
} from './generate.js';

export interface Figures {
  readonly seconds: number;
  /** Of them on a CPU: what is left when others keep the machine busy. */
  readonly cpuSeconds: number;
  /** The longest time for which the event loop stood still. */
  readonly longestHoldMs: number;
  /** The most time on a CPU between two turns of the event loop: the same, where others keep the machine busy. */
  readonly longestHoldCpuMs: number;
  /** 0 where the kernel does not tell. */
  readonly peakResidentBytes: number;
  /** Pieces, chunks, pages: what there was to do. */
  readonly count: number;
}

/** The machine's clock, with leaps. */
class LeapingClock implements Clock {
  #aheadMs = 0;
  readonly wallMs = (): number => systemClock.wallMs();
  readonly sleep: Clock['sleep'] = (...args) => systemClock.sleep(...args);
  readonly schedule: Clock['schedule'] = (...args) => systemClock.schedule(...args);
  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs;
  }
  leap(durationMs: number): void {
    this.#aheadMs += durationMs;
  }
}

const roomBytes = 2 ** 50;
const capacity = { totalBytes: 2 * roomBytes, usedBytes: roomBytes, freeBytes: roomBytes, trashBytes: 0 };
/** Of the steps that follow each other: the event loop has its turn, as between a worker's steps. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let population: Population;
let clock: LeapingClock;
let store: SqliteStore;
let core: TrackerCore;
/** By keeper, how often it has started. */
const incarnations = new Map<number, number>();
/** The keeper whose storage is replaced, and by which; it has its own again after that. */
const replaced = 1;
let otherStorage = false;

async function measure(work: () => Promise<number>): Promise<Figures> {
  await turn();
  const usage = meter([{ role: 'tracker', pid: process.pid }]);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  // It counts from its second look on.
  await systemClock.sleep(5);
  const startMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const holds = watchHolds();
  const count = await work();
  await turn();
  const longestHoldCpuMs = holds.stop();
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  // The last hold is seen by the next look.
  await systemClock.sleep(5);
  delay.disable();
  const peakResidentBytes = usage()[0]?.peakResidentBytes ?? 0;
  const cpuSeconds = (user + system) / 1e6;
  const longestHoldMs = delay.max / 1e6;
  return { seconds, cpuSeconds, longestHoldMs, longestHoldCpuMs, peakResidentBytes, count };
}

/** Looks at the CPU time in every turn of the event loop; what is measured leaves it idle nowhere. */
function watchHolds(): { stop(): number } {
  let longestMs = 0;
  let before = process.cpuUsage();
  let running = true;
  const look = (): void => {
    const now = process.cpuUsage();
    longestMs = Math.max(longestMs, (now.user + now.system - before.user - before.system) / 1e3);
    before = now;
    if (running) setImmediate(look);
  };
  setImmediate(look);
  return {
    stop() {
      running = false;
      look();
      return longestMs;
    },
  };
}

function identityOf(keeper: number) {
  return {
    keeperId: keeperIdOf(population, keeper),
    storageId: storageIdOf(population, keeper === replaced && otherStorage ? population.keepers : keeper),
    incarnation: incarnations.get(keeper) ?? 1,
  };
}

async function register(keeper: number): Promise<void> {
  incarnations.set(keeper, (incarnations.get(keeper) ?? 1) + 1);
  const address = `127.0.0.1:${1_000 + keeper}`;
  const registration = { ...identityOf(keeper), address, zone: '', capacity, softwareVersion: 'scale' };
  await core.registry.register(registration, '', undefined);
}

async function heartbeat(keeper: number): Promise<void> {
  const words = { activeStreams: 0, freeTaskSlots: 0, stopping: false, storageError: null };
  await core.registry.heartbeat({ ...identityOf(keeper), capacity, ...words }, []);
}

/** The first keeper is silent until it is dead. */
async function silence(): Promise<void> {
  for (let passedMs = 0; passedMs <= defaultSettings.deadAfterMs; passedMs += 1_000) {
    clock.leap(1_000);
    for (let keeper = 1; keeper < population.keepers; keeper += 1) await heartbeat(keeper);
    await core.registry.tick();
  }
}

async function queued(): Promise<number> {
  const row = await store.read(({ db }) =>
    db
      .selectFrom('repair_queue')
      .select(({ fn }) => fn.countAll<number>().as('chunks'))
      .executeTakeFirstOrThrow(),
  );
  return row.chunks;
}

/** The whole queue, page by page, as the worker does. */
async function pass(): Promise<number> {
  let pages = 1;
  for (; await core.repair.step(); pages += 1) await turn();
  return pages;
}

function chunksOn(keeper: number): string[] {
  const chunkIds: string[] = [];
  for (let index = 0; index < population.chunks; index += 1) {
    if (keepersOf(population, index).includes(keeper)) chunkIds.push(chunkIdOf(population, index));
  }
  return chunkIds;
}

/** How many pieces that were. */
async function reportAll(keeper: number, chunkIds: readonly string[]): Promise<number> {
  const pageSize = limits.maxPiecesPerReportPage;
  for (let start = 0, page = 0; start < chunkIds.length; start += pageSize, page += 1) {
    const pieces = chunkIds
      .slice(start, start + pageSize)
      .map((chunkId) => ({ chunkId, lengthBytes: chunkBytes, digest: digestOf(chunkId) }));
    const last = start + pageSize >= chunkIds.length;
    const identity = identityOf(keeper);
    const words = { reportId: '0'.repeat(32), wantedReport: '', page, pieces, last };
    await core.registry.report(identity, { ...identity, ...words });
    await turn();
  }
  return chunkIds.length;
}

const methods = {
  async generate(path: string, of: Population): Promise<void> {
    await generate(path, of);
  },

  /** From the opening of the file to a core that answers, all keepers expected back. */
  open(path: string, of: Population): Promise<Figures> {
    population = of;
    clock = new LeapingClock();
    return measure(async () => {
      store = await openSqliteStore({ path, clock: systemClock });
      core = await buildCore({
        store,
        clock,
        random: systemRandom,
        logger: silentLogger,
        settings: defaultSettings,
      });
      await core.namespace.getEntry(['file-0']);
      return 1;
    });
  },

  async registerAll(): Promise<void> {
    // An earlier run has started them before.
    for (let keeper = 0; keeper < population.keepers; keeper += 1) {
      const known = core.membership.get(keeperIdOf(population, keeper));
      if (known) incarnations.set(keeper, known.incarnation);
    }
    for (let keeper = 0; keeper < population.keepers; keeper += 1) await register(keeper);
  },

  /** All pieces of the first keeper, as after its restart. */
  async report(): Promise<Figures> {
    await register(0);
    const chunkIds = chunksOn(0);
    return measure(() => reportAll(0, chunkIds));
  },

  /** A status that nobody has asked for lately. */
  status(): Promise<Figures> {
    clock.leap(3_600_000);
    return measure(async () => (await core.status.status()).chunksBelowPolicy);
  },

  /** From the look at the leases that finds the first keeper dead to the last of its chunks in the queue. */
  async death(): Promise<Figures> {
    for (let keeper = 0; keeper < population.keepers; keeper += 1) await heartbeat(keeper);
    return measure(async () => {
      await silence();
      while (await queueNextPage(store, core.events)) await turn();
      return queued();
    });
  },

  /** The planner over the whole queue; copies are ordered up to its limits, and nobody makes any. */
  pass(): Promise<Figures> {
    return measure(pass);
  },

  /** The first keeper is back: the queue empties. */
  return(): Promise<Figures> {
    return measure(async () => {
      await heartbeat(0);
      const chunks = await queued();
      while ((await queued()) > 0) await pass();
      return chunks;
    });
  },

  /** An uploader that is gone: from the end of its session to the last of its chunks. */
  giveUp(upload: number): Promise<Figures> {
    return measure(async () => {
      await core.uploads.abort(uploadIdOf(population, upload));
      await turn();
      while (await giveUpNextPage(store)) await turn();
      return chunksOfUpload(population);
    });
  },

  /** A keeper comes with another storage under its name: until it may register. */
  replace(): Promise<Figures> {
    otherStorage = true;
    return measure(async () => {
      await register(replaced).catch(() => undefined);
      while (await queueNextPage(store, core.events)) await turn();
      await register(replaced);
      return queued();
    });
  },

  /** All is as it was before that. */
  async refill(): Promise<void> {
    otherStorage = false;
    await register(replaced);
    await reportAll(replaced, chunksOn(replaced));
    while ((await queued()) > 0) await pass();
  },

  async close(): Promise<void> {
    await store.close();
  },
};
export type ScaleMethods = typeof methods;
serve(methods);
