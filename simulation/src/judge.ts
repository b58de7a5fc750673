/** The judge of a history: after everything was mended, all is as if nothing had happened, within a bounded time. */
import type { HoldfastClient } from '@holdfast/client';
import { hasCode } from '@holdfast/client';
import { createHash } from 'node:crypto';
import { type Arena, checkArena } from './contender.js';
import { absent, type Model } from './model.js';
import { type SimulatedCluster, dataDir } from './simulated-cluster.js';
import { Violation } from './violation.js';
import type { Watcher } from './watcher.js';

/** The liveness goal: whole again within this, at the settings of a history. */
const wholeWithinMs = 900_000;
/** A check reads reports that may tell of damage for the first time; after its repair there is no more of it. */
const maxLooks = 4;
/** Between two looks. */
const lookMs = 2_000;

/** @throws Violation */
export async function judge(
  cluster: SimulatedCluster,
  model: Model,
  arena: Arena,
  watcher: Watcher,
): Promise<void> {
  const { client, process } = cluster.startClient('judge');
  const inTime = <T>(what: string, work: Promise<T>): Promise<T> =>
    cluster.time.finish(what, work, wholeWithinMs);
  let problems: readonly string[] = [];
  const whole = async (): Promise<void> => {
    for (;;) {
      problems = await problemsOf(client, cluster);
      if (problems.length === 0) return;
      await process.clock.sleep(lookMs);
    }
  };
  await inTime('healing', whole()).catch((error: unknown) => {
    throw error instanceof Violation
      ? new Violation(`the cluster does not heal: ${problems.join('; ')}`)
      : error;
  });
  await inTime(
    'reading all files',
    checkFiles(client, model, arena, () => cluster.time.nowMs),
  );
  const told = async (): Promise<void> => {
    // Whoever watches is told everything within a minute after the cluster is whole.
    for (let looks = 1; ; looks += 1) {
      const difference = await watcher.difference();
      if (difference === undefined) return;
      if (looks > 30) throw new Violation(`a watch did not tell everything: ${difference}`);
      await process.clock.sleep(lookMs);
    }
  };
  await inTime('comparing what was watched', told());
  // Reading may have found what nobody had seen.
  await inTime('healing', whole());
  await inTime("the cluster's own check", clean(client, whole));
  checkDisks(cluster);
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
async function problemsOf(client: HoldfastClient, cluster: SimulatedCluster): Promise<string[]> {
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

/** Every piece that the tracker counts is on its keeper's disk, with the digest of its chunk (docs/formats/chunk-file.md). */
function checkDisks(cluster: SimulatedCluster): void {
  const rows = cluster.query(
    `SELECT pieces.keeper_id, pieces.chunk_id, chunks.digest FROM pieces
       JOIN chunks ON chunks.chunk_id = pieces.chunk_id AND chunks.state = 'live'
       JOIN keepers ON keepers.keeper_id = pieces.keeper_id AND keepers.dead = 0
       WHERE pieces.state = 'durable'`,
  );
  for (const { keeper_id: keeperId, chunk_id: chunkId, digest } of rows) {
    const keeper = cluster.keepers.find((each) => each.keeper?.keeperId === keeperId);
    if (!keeper) throw new Violation(`keeper ${String(keeperId)}, which counts, does not run`);
    const id = String(chunkId);
    const path = `${dataDir}/chunks/${id.slice(0, 2)}/${id}.0`;
    const found = keeper.disk.files(`${dataDir}/chunks/${id.slice(0, 2)}`).includes(path)
      ? digestIn(keeper.disk.contentOf(path))
      : 'nothing';
    const wanted = String(digest);
    if (found !== wanted) throw new Violation(`${keeper.name} has ${found} for chunk ${id}, not ${wanted}`);
  }
}

function digestIn(file: Buffer): string {
  const lengthBytes = Number(file.readBigUInt64BE(72));
  const blocks = Math.ceil(lengthBytes / file.readUInt32BE(16));
  const table = file.subarray(4_096 + lengthBytes, 4_096 + lengthBytes + 4 * blocks);
  return createHash('sha256').update(table).digest('hex');
}
