/** Many keepers are lost at once, as by a power line, and come back: nothing is copied that need not be. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster, Member } from '@holdfast/local-cluster';
import { defaultSettings } from '@holdfast/master-tracker';
import { storedPieces } from '../../support/keeper-disk.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import { quickCluster, storeFiles, waitForState } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';

let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;

beforeEach(async () => {
  ledger = new Ledger();
  // The brake as it is in earnest: it outlasts the test.
  cluster = await quickCluster(6, {
    trackerSettings: {
      repairLimits: defaultSettings.repairLimits,
      // One of those that are left must not seem dead for a moment: its chunks would be endangered, and copied.
      ...{ suspectAfterMs: 2_000, deadAfterMs: 5_000 },
    },
  });
  client = await cluster.connect();
  await storeFiles(client, ledger, { count: 6, chunks: 8, seed: 1_400 });
  // What was written in vain on a busy machine is given up before copies are counted.
  await expectHealed(cluster, ledger, { read: false, check: false, stop: false });
});

afterEach(() => cluster.stop());

/** How many of the keepers have each chunk. */
async function copiesOn(keepers: readonly Member[]): Promise<Map<string, number>> {
  const copies = new Map<string, number>();
  for (const { dataDir } of keepers) {
    for (const { chunkId } of await storedPieces(dataDir))
      copies.set(chunkId, (copies.get(chunkId) ?? 0) + 1);
  }
  return copies;
}

/** No chunk has more copies than these and one. */
async function expectAtMostOneMoreThan(before: ReadonlyMap<string, number>): Promise<void> {
  for (const [chunkId, copies] of await copiesOn(cluster.keepers)) {
    expect(copies).toBeLessThanOrEqual((before.get(chunkId) ?? 0) + 1);
  }
}

it('half of the keepers die at once: only what the next loss would cost is copied until they return', async () => {
  const lost = cluster.keepers.slice(0, 3);
  const left = cluster.keepers.slice(3);
  const before = await copiesOn(cluster.keepers);
  const onLeft = await copiesOn(left);
  const endangered = new Set([...onLeft].filter(([, copies]) => copies === 1).map(([chunkId]) => chunkId));
  expect(endangered.size).toBeGreaterThan(0);
  // While the tracker is away, so that all leases begin with its start and end in the same moment.
  await cluster.tracker.kill();
  await Promise.all(lost.map((keeper) => keeper.kill()));
  await cluster.tracker.start();
  for (const { keeperId } of lost) await waitForState(client, keeperId, 'dead');
  await waitFor('the endangered to have a second copy', async () => {
    const copies = await copiesOn(left);
    return [...endangered].every((chunkId) => (copies.get(chunkId) ?? 0) >= 2);
  });
  for (const [chunkId, copies] of await copiesOn(left)) {
    expect(copies).toBe((onLeft.get(chunkId) ?? 0) + (endangered.has(chunkId) ? 1 : 0));
  }
  await Promise.all(lost.map((keeper) => keeper.start()));
  await expectHealed(cluster, ledger);
  // Beside the endangered, those of the keeper that comes back last: alone it is no mass loss.
  await expectAtMostOneMoreThan(before);
});

it('a tracker that is alone for longer than all leases takes every keeper back', async () => {
  const before = await copiesOn(cluster.keepers);
  await cluster.killAll();
  await cluster.tracker.start();
  const alone = await cluster.connect();
  for (const { keeperId } of cluster.keepers) await waitForState(alone, keeperId, 'dead');
  await waitFor('it to say that nothing can be read', async () => {
    const { chunks, chunksUnreadable } = await alone.status();
    return chunksUnreadable === chunks;
  });
  for (const keeper of cluster.keepers) await keeper.start();
  await expectHealed(cluster, ledger);
  // A chunk of which one keeper is back is endangered until the next one is.
  await expectAtMostOneMoreThan(before);
});
