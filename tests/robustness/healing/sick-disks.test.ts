/** The disk of one keeper is full, forbids changes, is gone: the cluster goes on, and has the keeper back after. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient, KeeperStatus } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { temporaryFolder } from '../../support/files.js';
import { Ledger } from '../../support/ledger.js';
import { LoopDisk, missingForHungWrites } from '../../support/loop-disk.js';
import { expectHealed } from '../../support/oracle.js';
import { quickProcessCluster, storeFiles, waitForState } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';

const missing = missingForHungWrites();
const itNeedsADisk = missing === undefined ? it : it.skip;
const needing = missing === undefined ? '' : ` (needs ${missing})`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let disk: LoopDisk;
let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;

beforeEach(async () => {
  if (missing !== undefined) return;
  folder = await temporaryFolder();
  const dataDir = join(folder.path, 'cluster');
  disk = await LoopDisk.make(join(dataDir, 'keeper-1'), join(folder.path, 'disk.img'), 256 * 1024 ** 2);
  cluster = await quickProcessCluster(4, dataDir);
  client = await cluster.connect();
  ledger = new Ledger();
  await storeFiles(client, ledger, { count: 4, chunks: 8, seed: 500 });
});

afterEach(async () => {
  if (missing !== undefined) return;
  await cluster.stop();
  await disk.remove();
  await folder.remove();
});

async function firstKeeper(): Promise<KeeperStatus> {
  const { keepers } = await client.status();
  return keepers.find(({ keeperId }) => keeperId === cluster.keepers[0]!.keeperId)!;
}

itNeedsADisk(
  `a full disk takes no pieces, and takes its share again when there is room${needing}`,
  async () => {
    await disk.fill();
    await waitFor('the tracker to know', async () => (await firstKeeper()).freeBytes === 0);
    const before = (await firstKeeper()).pieces;
    await storeFiles(client, ledger, { count: 4, chunks: 8, seed: 600 });
    await ledger.checkAll(client);
    expect((await firstKeeper()).pieces).toBeLessThanOrEqual(before);
    await disk.freeAll();
    await waitFor('there to be room', async () => (await firstKeeper()).freeBytes > 0);
    // Without this keeper there are too few for three copies.
    const lost = cluster.keepers[3]!;
    await lost.kill();
    await waitForState(client, lost.keeperId, 'dead');
    await expectHealed(cluster, ledger);
  },
  600_000,
);

itNeedsADisk(
  `a keeper that may not change its directory says so, serves reads, and is mended by a restart${needing}`,
  async () => {
    await disk.forbidChanges('tmp');
    await storeFiles(client, ledger, { count: 4, chunks: 8, seed: 600 });
    await waitFor('the tracker to know', async () => (await firstKeeper()).storageError !== '');
    expect((await client.status()).summary).toMatch(/^degraded.*cannot be written/);
    await ledger.checkAll(client);
    await disk.allowChanges('tmp');
    await cluster.keepers[0]!.restart();
    await expectHealed(cluster, ledger);
  },
  600_000,
);

itNeedsADisk(
  `a disk that is gone from under a keeper costs its pieces until it is back${needing}`,
  async () => {
    await disk.unmount();
    // Reads that find nothing there have the pieces copied elsewhere, and writes go elsewhere at once.
    await storeFiles(client, ledger, { count: 4, chunks: 8, seed: 600 });
    await ledger.checkAll(client);
    await cluster.keepers[0]!.kill();
    await disk.mount();
    await cluster.keepers[0]!.start();
    await expectHealed(cluster, ledger);
  },
  600_000,
);
