/** Keepers that come back: too late, again and again, or from another cluster. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { cp, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../support/command.js';
import { fingerprint, seededBytes, temporaryFolder } from '../../support/files.js';
import { lookAtDisk, storedPieces } from '../../support/keeper-disk.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import {
  chunkSizeBytes,
  quickCluster,
  storeFiles,
  waitForLive,
  waitForState,
} from '../../support/quick-cluster.js';
import { queryTables } from '../../support/tracker-tables.js';
import { waitFor } from '../../support/wait.js';

let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;

beforeEach(() => {
  ledger = new Ledger();
});

afterEach(() => cluster.stop());

async function start(...args: Parameters<typeof quickCluster>): Promise<void> {
  cluster = await quickCluster(...args);
  client = await cluster.connect();
  await storeFiles(client, ledger, { count: 6, chunks: 4, seed: 700 });
  // What was written in vain on a busy machine is given up before copies are counted.
  await expectHealed(cluster, ledger, { read: false, check: false, stop: false });
}

const isWhole = async (): Promise<boolean> => (await client.status()).chunksBelowPolicy === 0;

/** How many copies of each chunk are on the disks of all keepers, trash and all. */
async function copiesOnDisks(): Promise<Map<string, number>> {
  const copies = new Map<string, number>();
  for (const { dataDir } of cluster.keepers) {
    for (const { chunkId, place } of (await lookAtDisk(dataDir)).files) {
      if (place !== 'tmp') copies.set(chunkId, (copies.get(chunkId) ?? 0) + 1);
    }
  }
  return copies;
}

it('a keeper that was dead for long brings nothing back that was deleted or replaced meanwhile', async () => {
  // The tracker forgets chunks that were given up when no token for them can be good any more.
  await start(4, { trackerSettings: { tokenLifetimeMs: 2_000 } });
  const keeper = cluster.keepers[0]!;
  const stale = new Set((await storedPieces(keeper.dataDir)).map(({ chunkId }) => chunkId));
  await keeper.kill();
  await waitForState(client, keeper.keeperId, 'dead');
  // From here on the tracker knows of it only what it has written down.
  await cluster.tracker.kill();
  await cluster.tracker.start();
  await waitForState(client, keeper.keeperId, 'dead');
  await waitForLive(client, 3);
  for (const path of ['/f-0', '/f-1', '/f-2']) await ledger.remove(client, path);
  for (const path of ['/f-3', '/f-4']) {
    await ledger.upload(client, path, seededBytes(800, 5 * chunkSizeBytes), { chunkSizeBytes });
  }
  await waitFor('the cluster to have healed without it', isWhole);
  await ledger.upload(client, '/later', seededBytes(801, 5 * chunkSizeBytes), { chunkSizeBytes });
  await ledger.remove(client, '/later');
  await waitFor('what was given up later, and never on that keeper, to be forgotten', () => {
    const sql = `SELECT chunk_id FROM chunks WHERE state = 'garbage' AND NOT EXISTS
      (SELECT 1 FROM pieces WHERE pieces.chunk_id = chunks.chunk_id AND keeper_id = '${keeper.keeperId}')`;
    return queryTables(cluster, sql).length === 0;
  });
  await keeper.start();
  await expectHealed(cluster, ledger);
  // Only pieces of the one file that stayed can still be stored; the others it was told to give up.
  const kept = (await storedPieces(keeper.dataDir)).filter(({ chunkId }) => stale.has(chunkId));
  const trash = (await lookAtDisk(keeper.dataDir)).files.filter(({ place }) => place === 'trash');
  expect(kept.length).toBeLessThanOrEqual(4);
  expect(kept.length + trash.filter(({ chunkId }) => stale.has(chunkId)).length).toBe(stale.size);
});

it('an uploader that stood still while its keeper was dead and back commits or fails, and leaves nothing', async () => {
  await start(4);
  const stream = client.createWriteStream('/slow', { chunkSizeBytes });
  const ended = stream.committed.catch(() => undefined);
  stream.on('error', () => undefined);
  stream.write(seededBytes(900, 3 * chunkSizeBytes));
  await waitFor('the upload to be open', async () => (await client.status()).openUploads === 1);
  const keeper = cluster.keepers[0]!;
  await keeper.kill();
  await waitForState(client, keeper.keeperId, 'dead');
  await keeper.start();
  stream.destroy();
  await ended;
  await expectHealed(cluster, ledger);
});

it('a keeper that flaps for less than the time to be dead has nothing copied for it', async () => {
  await start(5, { trackerSettings: { suspectAfterMs: 2_000, deadAfterMs: 120_000 } });
  const keeper = cluster.keepers[0]!;
  const before = await copiesOnDisks();
  for (let flap = 0; flap < 8; flap += 1) {
    await keeper.kill();
    await ledger.check(client, `/f-${flap % 6}`);
    await keeper.start();
  }
  await waitForState(client, keeper.keeperId, 'live');
  await expectHealed(cluster, ledger);
  expect(await copiesOnDisks()).toEqual(before);
});

it('a keeper that dies and returns again and again costs one copy of each of its pieces, once', async () => {
  // Long enough that no other one seems dead for a moment, and is copied.
  await start(6, { trackerSettings: { suspectAfterMs: 1_500, deadAfterMs: 4_000 } });
  const keeper = cluster.keepers[0]!;
  const before = await copiesOnDisks();
  const own = new Set((await storedPieces(keeper.dataDir)).map(({ chunkId }) => chunkId));
  for (let death = 0; death < 3; death += 1) {
    await keeper.kill();
    await waitForState(client, keeper.keeperId, 'dead');
    await waitFor('its pieces to be copied elsewhere', isWhole);
    await keeper.start();
    await waitForState(client, keeper.keeperId, 'live');
  }
  await expectHealed(cluster, ledger);
  for (const [chunkId, copies] of await copiesOnDisks()) {
    const most = (before.get(chunkId) ?? 0) + (own.has(chunkId) ? 1 : 0);
    if (copies > most) throw new Error(`chunk ${chunkId} was copied again: there are ${copies}`);
  }
});

it("a keeper with another cluster's directory is refused, and not a byte of it is touched", async () => {
  await start(4);
  const folder = await temporaryFolder();
  const otherLedger = new Ledger();
  const other = await quickCluster(3, { dataDir: join(folder.path, 'other') });
  try {
    await storeFiles(await other.connect(), otherLedger, { count: 3, chunks: 4, seed: 1_000 });
    const theirs = other.keepers[0]!;
    await theirs.stop();
    const before = await fingerprint(theirs.dataDir);
    const args = ['--listen', '127.0.0.1:0', '--tracker', cluster.trackerAddress];
    const refused = await run('data-keeper', ['--data-dir', theirs.dataDir, ...args]);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toMatch(/another cluster/);
    const after = await fingerprint(theirs.dataDir);
    // It counts its starts, and nothing else.
    for (const files of [before, after]) files.delete('STATE');
    expect(after).toEqual(before);
    await theirs.start();
    await expectHealed(other, otherLedger);

    // In the place of one of ours: ours is gone until it is put back.
    const ours = cluster.keepers[0]!;
    await ours.kill();
    await rename(ours.dataDir, `${ours.dataDir}.away`);
    await cp(theirs.dataDir, ours.dataDir, { recursive: true });
    await expect(ours.start()).rejects.toMatchObject({ code: 'WRONG_CLUSTER' });
    await waitForState(client, ours.keeperId, 'dead');
    await waitFor('the cluster to have healed without it', isWhole);
    await rename(ours.dataDir, `${ours.dataDir}.theirs`);
    await rename(`${ours.dataDir}.away`, ours.dataDir);
    await ours.start();
    await expectHealed(cluster, ledger);
  } finally {
    await other.stop();
    await folder.remove();
  }
});
