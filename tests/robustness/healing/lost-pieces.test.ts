/** Pieces that are gone from a disk: all of them, a shard of them, one. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { storedPieces } from '../../support/keeper-disk.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import { quickCluster, readFirstFrom, storeFiles } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';

let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;

beforeEach(async () => {
  ledger = new Ledger();
  cluster = await quickCluster(4);
  client = await cluster.connect();
  await storeFiles(client, ledger, { count: 3, chunks: 8, seed: 100 });
});

afterEach(() => cluster.stop());

it('a keeper whose directory was wiped comes back as a new one, and is filled again', async () => {
  const keeper = cluster.keepers[0]!;
  const before = keeper.keeperId;
  await keeper.kill();
  await rm(keeper.dataDir, { recursive: true });
  await keeper.start();
  expect(keeper.keeperId).not.toBe(before);
  await expectHealed(cluster, ledger);
});

it('every keeper but one is wiped, one after the other, with time to heal', async () => {
  for (const keeper of cluster.keepers.slice(1)) {
    const before = keeper.keeperId;
    await keeper.kill();
    await rm(keeper.dataDir, { recursive: true });
    await keeper.start();
    await waitFor('the cluster to have noticed and healed', async () => {
      const { keepers, chunksBelowPolicy } = await client.status();
      return (
        chunksBelowPolicy === 0 &&
        keepers.some(({ keeperId, state }) => keeperId === before && state === 'dead')
      );
    });
  }
  await expectHealed(cluster, ledger);
});

it('pieces that vanish under a running keeper are found missing by reads', async () => {
  const keeper = cluster.keepers[0]!;
  const pieces = await storedPieces(keeper.dataDir);
  for (const { path } of pieces) await unlink(path);
  await waitFor('reads to have found every one', async () => {
    await readFirstFrom(cluster, keeper, ledger);
    const { keepers, chunksBelowPolicy } = await client.status();
    const counted = keepers.find(({ keeperId }) => keeperId === keeper.keeperId)?.pieces ?? 0;
    return chunksBelowPolicy === 0 && counted === (await storedPieces(keeper.dataDir)).length;
  });
  await expectHealed(cluster, ledger);
});

it('pieces that vanish while a keeper is away are found missing by its report', async () => {
  const keeper = cluster.keepers[0]!;
  await keeper.kill();
  const pieces = await storedPieces(keeper.dataDir);
  for (const [index, { path }] of pieces.entries()) if (index % 2 === 0) await unlink(path);
  await keeper.start();
  await expectHealed(cluster, ledger);
});

it('shard directories that vanish under a running keeper cost their pieces and nothing else', async () => {
  const keeper = cluster.keepers[0]!;
  const pieces = await storedPieces(keeper.dataDir);
  const shards = [...new Set(pieces.map(({ path }) => dirname(path)))];
  for (const shard of shards) await rm(shard, { recursive: true });
  await ledger.checkAll(client);
  // Writes go on, with this keeper or without it.
  await storeFiles(client, ledger, { count: 6, chunks: 8, seed: 200 });
  // Whether or not a write has met the hole: a restart mends it, and tells what is missing.
  await keeper.restart();
  await expectHealed(cluster, ledger);
});
