/** The judge of a history: after everything was mended, all is as if nothing had happened, within a bounded time. */
import type { HoldfastClient } from '@holdfast/client';
import { hasCode } from '@holdfast/client';
import { type Arena, checkArena } from './contender.js';
import { damageOn, leftoversOf } from './disks.js';
import { absent, type Model } from './model.js';
import type { SimulatedCluster } from './simulated-cluster.js';
import { Violation } from './violation.js';
import type { Watcher } from './watcher.js';

/**
 * The liveness goal: all of it together is done within this. Twice what the settings of a history (simulated-cluster.ts)
 * add up to, if one thing has to wait for the other: a death 10 s, the lease of an upload 30 s, the trash 20 s, its grace
 * 20 s and the trash of a keeper 7 s. Most are done after 45 s, nearly all of it for the trash.
 */
export const wholeWithinMs = 180_000;
/** A check reads reports that may tell of damage for the first time; after its repair there is no more of it. */
const maxLooks = 4;
/** Between two looks; */
const lookMs = 2_000;
/** at what goes by itself, after minutes. */
const tidyLookMs = 10_000;
/** Whoever watches is told everything within a minute after the cluster is whole. */
const maxToldLooks = 30;
/** Calls that a cluster has open in which nobody asks for anything. */
const restingCall = /(^watcher .*\/WatchEntries|^keeper-\d+ .*\/Heartbeat)$/;

/** @throws Violation */
export async function judge(
  cluster: SimulatedCluster,
  model: Model,
  arena: Arena,
  watcher: Watcher,
  withinMs = wholeWithinMs,
): Promise<void> {
  const { client, process } = cluster.startClient('judge');
  const { time, trace, network } = cluster;
  let doing = '';
  let problems: readonly string[] = [];
  const begin = (what: string): void => {
    doing = what;
    problems = [];
    trace.add('judge', what);
  };
  const until = async (
    what: string,
    look: () => Promise<string[]> | string[],
    pauseMs = lookMs,
  ): Promise<void> => {
    begin(what);
    for (;;) {
      problems = await look();
      if (problems.length === 0) return;
      await process.clock.sleep(pauseMs);
    }
  };
  const whole = (): Promise<void> => until('healing', () => problemsOf(client, cluster));
  const told = async (): Promise<void> => {
    begin('comparing what was watched');
    for (let looks = 1; ; looks += 1) {
      const difference = await watcher.difference();
      if (difference === undefined) return;
      if (looks > maxToldLooks) throw new Violation(`a watch did not tell everything: ${difference}`);
      await process.clock.sleep(lookMs);
    }
  };
  const all = async (): Promise<void> => {
    await whole();
    begin('reading all files');
    await checkFiles(client, model, arena, () => time.nowMs);
    await told();
    // Reading may have found what nobody had seen,
    await whole();
    begin('scrubbing');
    await scrub(client, cluster);
    // and so may reading what no file needs: the other copies.
    await whole();
    begin("the cluster's own check");
    await clean(client, whole);
    await until('tidying up', () => leftoversOf(cluster), tidyLookMs);
    begin('looking at the disks');
    const damage = damageOn(cluster);
    if (damage.length > 0) throw new Violation(`what counts is not whole: ${damage.join('; ')}`);
    await until('ending calls', () => network.openCalls.filter((call) => !restingCall.test(call)));
    begin('nothing more');
  };
  let hasEnded = false;
  const end = (): void => void (hasEnded = true);
  const work = all();
  work.then(end, end);
  if (await time.runUntil(() => hasEnded, withinMs)) return work;
  throw new Violation(`${doing} does not come to an end: ${problems.join('; ')}`);
}

/** Has every keeper that is there read all that it has: damage that no reader met is found, and mended, too. */
async function scrub(client: HoldfastClient, { keepers }: SimulatedCluster): Promise<void> {
  const keeperIds = keepers.flatMap(({ keeper }) => keeper?.keeperId ?? []);
  const { state, text } = await client.waitForJob(await client.scrub(keeperIds));
  if (state !== 'done') throw new Violation(`a scrub of a cluster that is whole is ${state}: ${text}`);
}

/** The cluster's own check, which may find what is then mended; it finds nothing in the end. */
async function clean(client: HoldfastClient, whole: () => Promise<void>): Promise<void> {
  for (let looks = 1; ; looks += 1) {
    const { state, findings } = await client.check();
    if (state === 'done' && findings.length === 0) return;
    const isMending = findings.every(({ invariant }) => invariant === 'repair');
    if (looks === maxLooks || !isMending) {
      throw new Violation(`the cluster's own check (${state}) finds ${JSON.stringify(findings)}`);
    }
    await whole();
  }
}

/** What the cluster says that is not as it should be. */
export async function problemsOf(client: HoldfastClient, cluster: SimulatedCluster): Promise<string[]> {
  const status = await client.status().catch((error: unknown) => String(error));
  if (typeof status === 'string') return [status];
  const running = new Set(cluster.keepers.map(({ keeper }) => keeper?.keeperId));
  return [
    ...status.keepers.flatMap(({ keeperId, state, reported, storageError }) => {
      if (!running.has(keeperId)) return state === 'dead' ? [] : [`${keeperId}, which is gone, is ${state}`];
      return state === 'live' && reported && storageError === ''
        ? []
        : [`keeper ${keeperId} is ${state}, reported: ${reported} ${storageError}`];
    }),
    ...(running.has(undefined) ? ['a keeper does not start'] : []),
    ...(status.metadataRegressed ? ['the metadata regressed'] : []),
    ...(status.chunksBelowPolicy > 0 ? [`${status.chunksBelowPolicy} chunks below policy`] : []),
    ...(status.chunksUnreadable > 0 ? [`${status.chunksUnreadable} chunks unreadable`] : []),
    ...(status.openUploads > 0 ? [`${status.openUploads} open uploads`] : []),
  ];
}

async function checkFiles(
  client: HoldfastClient,
  model: Model,
  arena: Arena,
  now: () => number,
): Promise<void> {
  for (const path of model.paths) {
    const found = await contentAt(client, model, path);
    if (!model.allowed(path).has(found)) {
      const allowed = [...model.allowed(path)].map((content) => content.slice(0, 8));
      throw new Violation(`${path} is ${found.slice(0, 8)}, and may be ${allowed.join(' or ')}`);
    }
  }
  await checkArena(client, arena, now);
  const known = new Set([...model.paths, ...[...arena.files, arena.log].map(({ path }) => path)]);
  for await (const { path, type } of client.list('/', { depth: Infinity })) {
    if (type === 'file' && !known.has(path)) throw new Violation(`${path} is there, and nobody stored it`);
  }
}

async function contentAt(client: HoldfastClient, model: Model, path: string): Promise<string> {
  try {
    const parts: Buffer[] = [];
    for await (const part of client.createReadStream(path)) parts.push(Buffer.from(part as Uint8Array));
    return model.contentOf(Buffer.concat(parts));
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return absent;
    throw new Violation(`${path} cannot be read: ${String(error)}`);
  }
}
