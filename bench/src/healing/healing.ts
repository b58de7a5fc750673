/**
 * One death: a cluster of four processes with three copies of everything, kill -9 of one keeper, and what happens
 * until every chunk of the data has its three copies again. Seen from outside, by asking several times a second how
 * the cluster and the files stand.
 */
import { type HoldfastClient, connect } from '@holdfast/client';
import { type Cluster, type Member, startProcessCluster } from '@holdfast/local-cluster';
import { Child } from '../children/child.js';
import { nodeSettings } from '../node-settings.js';
import { chunkBytes, dataPath } from './layout.js';
import type { LoadMethods, LoadTotals } from './load-process.js';

const loadModule = new URL('./load-process.js', import.meta.url);
const keepers = 4;
const replicas = 3;
/** The tracker counts anew for a status five times a second at most. */
const lookEveryMs = 100;
/** With many small files each look is work for the tracker, which copies them meanwhile. */
const lookAtManyEveryMs = 500;
/** As the command line sends small files; a large one keeps the cluster busy by itself. */
const smallUploadsAtATime = 32;
/** How long the load is measured before the death and after the healing. */
const calmMs = 10_000;
/** What is not healed by then never will be. */
const healingLimitMs = 900_000;
/** The tracker's own; a death that comes sooner needs a sooner suspicion. */
const defaultSuspectAfterMs = 5_000;
/** What keepers may store beside the data: the load's files and their trash. */
const roomToSpareBytes = 3 * 1024 ** 3;

/** What the load clients moved in a phase. */
interface Throughput {
  readonly seconds: number;
  readonly uploadMbPerSecond: number;
  readonly readMbPerSecond: number;
  readonly failedUploads: number;
  readonly failedReads: number;
}

export interface Healing {
  readonly dataBytes: number;
  /** Pieces of the data that the killed keeper had. */
  readonly lostPieces: number;
  readonly lostBytes: number;
  /** All from the kill on, to within `resolutionMs`. */
  readonly deadMs: number;
  /** Until the first copy was ordered. */
  readonly firstOrderMs: number;
  /** Until the first copy was on another keeper. */
  readonly firstCopyMs: number;
  readonly healedMs: number;
  /** Bytes copied over the time from the first order to the last receipt. */
  readonly repairMbPerSecond: number;
  readonly repairPiecesPerSecond: number;
  readonly resolutionMs: number;
  /** With load only: before the death, until the tracker knew, while copies were made, and after. */
  readonly load?: Readonly<Record<'before' | 'silence' | 'repair' | 'after', Throughput>>;
}

export interface HealingOptions {
  readonly dataDir: string;
  /** Rounded to whole files. */
  readonly dataBytes: number;
  /** Of each file: whole chunks, or less than one. */
  readonly fileBytes: number;
  readonly deadAfterMs: number;
  /** Of the tracker: what repair may bring to each keeper in a second; 0 for no limit, undefined for its default. */
  readonly repairRateBytes: number | undefined;
  /** Whether clients upload and read throughout. Not with small files. */
  readonly underLoad: boolean;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** How much disk a run takes at most, in bytes. */
export function neededBytes(dataBytes: number): number {
  return keepers * (dataBytes + roomToSpareBytes);
}

export async function measureHealing(options: HealingOptions): Promise<Healing> {
  const { dataDir, dataBytes, deadAfterMs, repairRateBytes } = options;
  const cluster = await startProcessCluster({
    dataDir,
    keepers: Array.from({ length: keepers }, () => ({ capacityBytes: dataBytes + roomToSpareBytes })),
    trackerFlags: [
      ...(repairRateBytes === undefined ? [] : [`--repair-rate=${repairRateBytes}`]),
      `--dead-after=${deadAfterMs}ms`,
      `--suspect-after=${Math.min(defaultSuspectAfterMs, deadAfterMs / 2)}ms`,
      '--trash-retention=0s',
      '--reclaim-grace=2s',
    ],
  });
  const child = options.underLoad ? await Child.start<LoadMethods>(loadModule, nodeSettings) : undefined;
  try {
    return await new Run(cluster, child, options).run();
  } finally {
    await child?.stop();
    await cluster.stop();
  }
}

class Run {
  readonly #cluster: Cluster;
  readonly #load: Child<LoadMethods> | undefined;
  readonly #options: HealingOptions;
  #client!: HoldfastClient;
  #files = 0;

  constructor(cluster: Cluster, load: Child<LoadMethods> | undefined, options: HealingOptions) {
    this.#cluster = cluster;
    this.#load = load;
    this.#options = options;
  }

  async run(): Promise<Healing> {
    const { dataBytes, fileBytes, say } = this.#options;
    this.#client = await connect({ tracker: this.#cluster.trackerAddress });
    const files = Math.max(1, Math.round(dataBytes / fileBytes));
    this.#files = files;
    const bytes = Buffer.alloc(
      fileBytes,
      'what is stored does not matter here: nothing on the way looks at it',
    );
    const wish = { replicas, minWrite: replicas, chunkSizeBytes: chunkBytes };
    let next = 0;
    const upload = async (): Promise<void> => {
      while (next < files) await this.#client.upload(bytes, dataPath(next++), wish);
    };
    await Promise.all(Array.from({ length: this.#isSmall ? smallUploadsAtATime : 1 }, upload));
    const [victim] = this.#cluster.keepers;
    if (!victim) throw new Error('there is no keeper');
    const { keepers: all } = await this.#client.status();
    const lostPieces = all.find(({ keeperId }) => keeperId === victim.keeperId)?.pieces ?? 0;
    await this.#load?.call('begin', this.#cluster.trackerAddress, files, fileBytes);
    const before = await this.#calm();
    const { before: atKill, ...healing } = await this.#death(victim, lostPieces);
    say(`dead after ${healing.deadMs} ms, healed after ${healing.healedMs} ms`);
    const after = await this.#calm();
    const totals = await this.#load?.call('end');
    if (totals && totals.failedReads + totals.failedUploads > 0) say(`clients failed: ${totals.lastFailure}`);
    this.#client.close();
    const { silence, repair, ...figures } = healing;
    const ends = { dataBytes: files * fileBytes, ...figures };
    if (!before || !after || !silence || !repair || !atKill) return ends;
    return { ...ends, load: { before, silence, repair, after } };
  }

  async #sample(): Promise<Sampled | undefined> {
    const totals = await this.#load?.call('totals');
    return totals && { atMs: performance.now(), totals };
  }

  async #calm(): Promise<Throughput | undefined> {
    if (!this.#load) return undefined;
    const from = await this.#sample();
    await this.#pause(calmMs);
    return between(from, await this.#sample());
  }

  async #pause(durationMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    this.#options.signal.throwIfAborted();
  }

  get #isSmall(): boolean {
    return this.#options.fileBytes < chunkBytes;
  }

  /** How many chunks of the data have fewer than three copies that count. */
  async #missing(): Promise<number> {
    // Without clients there is nothing else.
    if (!this.#load) return (await this.#client.status()).chunksBelowPolicy;
    let chunks = 0;
    for (let index = 0; index < this.#files; index += 1) {
      chunks += (await this.#client.stat(dataPath(index))).durability?.chunksBelowPolicy ?? 0;
    }
    return chunks;
  }

  async #death(victim: Member, lostPieces: number) {
    const before = await this.#sample();
    const everyMs = this.#isSmall ? lookAtManyEveryMs : lookEveryMs;
    const startMs = performance.now();
    await victim.kill();
    const sinceKill = (): number => Math.round(performance.now() - startMs);
    let deadMs: number | undefined;
    let firstOrderMs: number | undefined;
    let firstCopyMs: number | undefined;
    let atDeath: Sampled | undefined;
    for (;;) {
      const { keepers: all, repairsInFlight, summary } = await this.#client.status();
      const atMs = sinceKill();
      if (deadMs === undefined) {
        if (all.find(({ keeperId }) => keeperId === victim.keeperId)?.state === 'dead') {
          deadMs = atMs;
          atDeath = await this.#sample();
        }
      } else {
        // Before the death only what was uploaded meanwhile, with a copy less, is copied.
        if (repairsInFlight > 0) firstOrderMs ??= atMs;
        const missing = await this.#missing();
        if (missing < lostPieces) firstCopyMs ??= sinceKill();
        if (missing === 0) break;
      }
      if (atMs > healingLimitMs) throw new Error(`not healed after ${atMs} ms: ${summary}`);
      await this.#pause(everyMs);
    }
    const healedMs = sinceKill();
    const healed = await this.#sample();
    const lostBytes = lostPieces * Math.min(this.#options.fileBytes, chunkBytes);
    // What began and ended between two looks took at most the time between them.
    const repairMs = Math.max(everyMs, healedMs - (firstOrderMs ?? deadMs));
    return {
      before,
      lostPieces,
      lostBytes,
      deadMs,
      firstOrderMs: firstOrderMs ?? deadMs,
      firstCopyMs: firstCopyMs ?? healedMs,
      healedMs,
      repairMbPerSecond: lostBytes / 1e3 / repairMs,
      repairPiecesPerSecond: (lostPieces * 1e3) / repairMs,
      resolutionMs: 2 * everyMs,
      silence: between(before, atDeath),
      repair: between(atDeath, healed),
    };
  }
}

interface Sampled {
  readonly atMs: number;
  readonly totals: LoadTotals;
}

function between(from: Sampled | undefined, to: Sampled | undefined): Throughput | undefined {
  if (!from || !to) return undefined;
  const seconds = (to.atMs - from.atMs) / 1000;
  return {
    seconds,
    uploadMbPerSecond: (to.totals.uploadedBytes - from.totals.uploadedBytes) / 1e6 / seconds,
    readMbPerSecond: (to.totals.readBytes - from.totals.readBytes) / 1e6 / seconds,
    failedUploads: to.totals.failedUploads - from.totals.failedUploads,
    failedReads: to.totals.failedReads - from.totals.failedReads,
  };
}
