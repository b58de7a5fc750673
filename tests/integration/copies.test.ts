/** A copy within the cluster shares its bytes with the original and outlives it: through a real cluster in this process. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { readAll, seededBytes } from '../support/files.js';
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

async function storedBytes(): Promise<number> {
  const { keepers } = await client.status();
  return keepers.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
}

it(`keeps its bytes when the original is gone for good (HOLDFAST_SEED=${seed})`, async () => {
  const bytes = seededBytes(seed, 5 * chunkSizeBytes + 77);
  const gone = seededBytes(seed + 1, 3 * chunkSizeBytes);
  await client.upload(bytes, '/original', { chunkSizeBytes, attributes: { mode: 0o640 } });
  await waitFor('keepers to have told of all copies', async () => (await storedBytes()) > 3 * bytes.length);
  const before = await storedBytes();
  const copy = await client.copy('/original', '/copy');
  expect(copy).toMatchObject({ path: '/copy', sizeBytes: bytes.length, attributes: { mode: 0o640 } });
  // Another file, to see that what nobody uses is taken away.
  await client.upload(gone, '/gone', { chunkSizeBytes });
  await waitFor(
    'keepers to have told of that too',
    async () => (await storedBytes()) > before + 3 * gone.length,
  );
  for (const path of ['/original', '/gone']) {
    await client.remove(path);
    await client.emptyTrash(path);
  }
  await waitFor('the other file’s room to be free again', async () => (await storedBytes()) <= before);
  // Not less, however long one looks: what a copy uses stays.
  for (let look = 0; look < 10; look += 1) expect(await storedBytes()).toBe(before);
  expect((await readAll(client.createReadStream('/copy'))).equals(bytes)).toBe(true);
  expect((await client.check()).findings).toEqual([]);
  await expect(client.copy('/copy', '/copy')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
});
