/** A copy within the cluster shares its bytes with the original and outlives it: through a real cluster in this process. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { readAll, seededBytes } from '../support/files.js';
import { lookAtDisk } from '../support/keeper-disk.js';
import { waitFor } from '../support/wait.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const chunkSizeBytes = 64 * 1024;

let cluster: Cluster;
let client: HoldfastClient;
beforeAll(async () => {
  cluster = await startCluster({
    keepers: 3,
    trackerSettings: { repairTickMs: 100, heartbeatIntervalMs: 100, reclaimGraceMs: 500 },
    keeperSettings: { trashTtlMs: 100, trashIntervalMs: 50 },
  });
  client = await cluster.connect();
});
afterAll(() => cluster.stop());

/** The files of pieces on all keepers' disks, wherever. */
async function pieceFiles(): Promise<number> {
  const disks = await Promise.all(cluster.keepers.map(({ dataDir }) => lookAtDisk(dataDir)));
  return disks.reduce((sum, { files }) => sum + files.length, 0);
}

it(`keeps its bytes when the original is gone for good (HOLDFAST_SEED=${seed})`, async () => {
  const bytes = seededBytes(seed, 5 * chunkSizeBytes + 77);
  await client.upload(bytes, '/original', { chunkSizeBytes, attributes: { mode: 0o640 } });
  await waitFor('three copies of its 6 chunks', async () => (await pieceFiles()) === 18);
  const copy = await client.copy('/original', '/copy');
  expect(copy).toMatchObject({ path: '/copy', sizeBytes: bytes.length, attributes: { mode: 0o640 } });
  // Another file, to see that what nobody uses is taken away.
  await client.upload(seededBytes(seed + 1, 3 * chunkSizeBytes), '/gone', { chunkSizeBytes });
  await waitFor('three copies of its 3 chunks too', async () => (await pieceFiles()) === 27);
  for (const path of ['/original', '/gone']) {
    await client.remove(path);
    await client.emptyTrash(path);
  }
  await waitFor('the other file to be off the disks', async () => (await pieceFiles()) === 18);
  expect((await readAll(client.createReadStream('/copy'))).equals(bytes)).toBe(true);
  expect((await client.check()).findings).toEqual([]);
  await expect(client.copy('/copy', '/copy')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await client.remove('/copy');
  await client.emptyTrash('/copy');
  await waitFor('the copy to be off the disks as well', async () => (await pieceFiles()) === 0);
});
