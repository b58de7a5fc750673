/** Real processes are killed while the cluster heals. */
import { afterEach, beforeEach, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { temporaryFolder } from '../../support/files.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import { quickProcessCluster, storeFiles, waitForState } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;

beforeEach(async () => {
  folder = await temporaryFolder();
  cluster = await quickProcessCluster(4, join(folder.path, 'cluster'));
  client = await cluster.connect();
  ledger = new Ledger();
});

afterEach(async () => {
  await cluster.stop();
  await folder.remove();
});

/** Waits until some of the copies that are missing are made and some are not; or all, where this look came too late. */
async function inTheMiddleOfRepair(): Promise<void> {
  let most = 0;
  await waitFor('repair to be under way', async () => {
    const { chunksBelowPolicy } = await client.status();
    most = Math.max(most, chunksBelowPolicy);
    return chunksBelowPolicy < most || (chunksBelowPolicy === 0 && (await isRepaired()));
  });
}

async function isRepaired(): Promise<boolean> {
  for await (const { kind } of client.events()) if (kind === 'repair-finished') return true;
  return false;
}

it('the tracker is killed again and again in the middle of repair', async () => {
  await storeFiles(client, ledger, { count: 12, chunks: 16, seed: 1_100 });
  const lost = cluster.keepers[1]!;
  await lost.kill();
  await waitForState(client, lost.keeperId, 'dead');
  for (let kill = 0; kill < 3 && (await client.status()).chunksBelowPolicy > 0; kill += 1) {
    await inTheMiddleOfRepair();
    await cluster.tracker.kill();
    await cluster.tracker.start();
    await waitForState(client, lost.keeperId, 'dead');
  }
  await expectHealed(cluster, ledger);
});

it('everything is killed at once in the middle of repair', async () => {
  await storeFiles(client, ledger, { count: 12, chunks: 16, seed: 1_200 });
  await cluster.keepers[1]!.kill();
  await inTheMiddleOfRepair();
  await cluster.killAll();
  await cluster.startAll();
  await expectHealed(cluster, ledger);
});
