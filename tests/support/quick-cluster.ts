/**
 * Clusters with shortened times, so that a death and its repair take seconds. No time here changes what is safe; a
 * busy machine only makes more deaths of them.
 */
import {
  type Cluster,
  type Member,
  type StartClusterOptions,
  type StartProcessClusterOptions,
  startCluster,
  startProcessCluster,
} from '@holdfast/local-cluster';
import type { HoldfastClient } from '@holdfast/client';
import { defaultSettings } from '@holdfast/master-tracker';
import { seededBytes } from './files.js';
import type { Ledger } from './ledger.js';
import { preloading } from './preloading.js';
import { waitFor } from './wait.js';

/** The smallest there is: many chunks in few bytes. */
export const chunkSizeBytes = 64 * 1024;

const times = {
  heartbeatIntervalMs: 100,
  suspectAfterMs: 500,
  deadAfterMs: 2_000,
  // Keepers that are stopped in order for good are dead soon, too.
  maintenanceMs: 4_000,
  repairTickMs: 100,
  // What is deleted is given up at once, and for good.
  trashRetentionMs: 0,
  reclaimGraceMs: 100,
  // An upload that is given up in the middle must be over by the end of the test.
  uploadLeaseMs: 15_000,
  // The scenarios lose one keeper after the other, and none of them for the network's sake.
  repairLimits: { ...defaultSettings.repairLimits, brakeWindowMs: 1_000 },
};

/** In this process. */
export function quickCluster(keepers: number, options: StartClusterOptions = {}): Promise<Cluster> {
  return startCluster({ keepers, ...options, trackerSettings: { ...times, ...options.trackerSettings } });
}

type QuickProcessOptions = Omit<StartProcessClusterOptions, 'dataDir' | 'keepers' | 'trackerFlags'> & {
  /** Of this directory, what the servers import before they start, beside `leaks-show.mjs`. */
  readonly preloads?: readonly string[];
  /** By name, beside the shortened times or instead of them. */
  readonly trackerFlags?: Readonly<Record<string, string>>;
};

/** The same as processes of their own, somewhat slower: they are to live through the starts of others. */
export function quickProcessCluster(
  keepers: number,
  dataDir: string,
  { trackerFlags = {}, preloads = [], environment, ...options }: QuickProcessOptions = {},
): Promise<Cluster> {
  const flags = {
    'heartbeat-interval': '200ms',
    'suspect-after': '2s',
    'dead-after': '6s',
    maintenance: '30s',
    'trash-retention': '0s',
    'reclaim-grace': '100ms',
    'upload-lease': '15s',
    ...trackerFlags,
  };
  return startProcessCluster({
    ...options,
    dataDir,
    keepers,
    environment: { ...preloading('leaks-show.mjs', ...preloads), ...environment },
    trackerFlags: Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
  });
}

/** Stores `count` files of `chunks` chunks each, /f-0 and on, three copies of everything acknowledged. */
export async function storeFiles(
  client: HoldfastClient,
  ledger: Ledger,
  { count, chunks, seed }: { readonly count: number; readonly chunks: number; readonly seed: number },
): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    // The last chunk of each is shorter.
    const bytes = seededBytes(seed + index, chunks * chunkSizeBytes - 1 - index);
    await waitForLive(client, 3);
    await ledger.upload(client, `/f-${index}`, bytes, { chunkSizeBytes, minWrite: 3 });
  }
}

/**
 * Reads every chunk of every file from this keeper first, if it has it: the others are said to be away, and are asked
 * after it. Each by a client of its own: one that has met bad pieces of a keeper asks others first, for a while.
 */
export async function readFirstFrom(cluster: Cluster, keeper: Member, ledger: Ledger): Promise<void> {
  const operator = await cluster.connect();
  const others = cluster.keepers.filter((each) => each !== keeper);
  const readByAnother = async (path: string, start: number): Promise<void> => {
    const client = await cluster.connect();
    await ledger.check(client, path, start, start + chunkSizeBytes - 1).finally(() => client.close());
  };
  try {
    for (const { keeperId } of others) await operator.setMaintenance(keeperId, 3_600_000);
    for (const path of ledger.paths) {
      const { sizeBytes } = await operator.stat(path);
      const starts = Array.from(
        { length: Math.ceil(sizeBytes / chunkSizeBytes) },
        (_, index) => index * chunkSizeBytes,
      );
      await Promise.all(starts.map((start) => readByAnother(path, start)));
    }
  } finally {
    for (const { keeperId } of others) await operator.setMaintenance(keeperId, 0);
    operator.close();
  }
}

/**
 * Waits until every chunk of a file has as many copies. An upload returns when there are enough of them; a keeper that is
 * late for a moment gets its own afterwards.
 */
export async function waitForCopies(client: HoldfastClient, path: string, copies: number): Promise<void> {
  await waitFor(
    `${path} to have ${copies} copies`,
    async () => (await client.stat(path)).durability?.fewest === copies,
  );
}

/**
 * Waits until so many keepers take pieces. On a busy machine they may seem to be away for longer than a client waits for
 * them, after a start of the tracker above all.
 */
export async function waitForLive(client: HoldfastClient, count: number): Promise<void> {
  await waitFor(`${count} keepers to be live`, async () => {
    const { keepers } = await client.status();
    return keepers.filter(({ state }) => state === 'live').length >= count;
  });
}

/** Waits until the tracker says that a keeper is in the state. */
export async function waitForState(client: HoldfastClient, keeperId: string, state: string): Promise<void> {
  await waitFor(`keeper ${keeperId} to be ${state}`, async () => {
    const { keepers } = await client.status();
    return keepers.find((keeper) => keeper.keeperId === keeperId)?.state === state;
  });
}
