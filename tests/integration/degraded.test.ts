/** One keeper of three down: writing goes on, says how many copies there are, and is completed later. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { readAll, seededBytes } from '../support/files.js';
import { waitForCopies, waitForState } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

const chunk = 64 * 1024;
let cluster: Cluster;

beforeEach(async () => {
  cluster = await startCluster({
    keepers: 3,
    trackerSettings: { heartbeatIntervalMs: 100, suspectAfterMs: 500, deadAfterMs: 2_000, repairTickMs: 100 },
  });
});

afterEach(() => cluster.stop());

it('uploads with one keeper down have two copies, and three when it is back', async () => {
  const client = await cluster.connect();
  const bytes = seededBytes(7, 5 * chunk);
  await cluster.keepers[1]!.kill();
  const result = await client.upload(bytes, '/degraded', { chunkSizeBytes: chunk });
  expect(result.copies).toMatchObject({ fewest: 2, wanted: 3 });
  // A commit is counted a moment later.
  await waitFor('what is missing to be told', async () => (await client.status()).chunksBelowPolicy === 5);
  await cluster.keepers[1]!.start();
  await waitFor('the third copies', async () => (await client.status()).chunksBelowPolicy === 0);
  await waitForCopies(client, '/degraded', 3);
  expect((await client.stat('/degraded')).durability).toMatchObject({ chunksBelowPolicy: 0 });
  // The completed copies are real: they alone can be read.
  await cluster.keepers[0]!.kill();
  await cluster.keepers[2]!.kill();
  expect((await readAll(client.createReadStream('/degraded'))).equals(bytes)).toBe(true);
});

it('a keeper that is gone for good has its pieces copied elsewhere', async () => {
  const client = await cluster.connect();
  const bytes = seededBytes(8, 8 * chunk);
  await client.upload(bytes, '/file', { chunkSizeBytes: chunk });
  await cluster.addKeeper();
  await cluster.keepers[0]!.kill();
  await waitForState(client, cluster.keepers[0]!.keeperId, 'dead');
  await waitForCopies(client, '/file', 3);
  await cluster.keepers[1]!.kill();
  await cluster.keepers[2]!.kill();
  expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
});

it('with fewer live keepers than min-write an upload fails, says what to do, and changes nothing', async () => {
  const client = await cluster.connect();
  await cluster.keepers[0]!.kill();
  await cluster.keepers[1]!.kill();
  await waitFor('both to be suspected', async () => {
    const killed = cluster.keepers.slice(0, 2).map(({ keeperId }) => keeperId);
    const { keepers } = await client.status();
    return keepers.every(({ keeperId, state }) => !killed.includes(keeperId) || state !== 'live');
  });
  await expect(client.upload(seededBytes(9, chunk), '/no')).rejects.toMatchObject({
    code: 'NOT_ENOUGH_KEEPERS',
    remedy: expect.stringMatching(/keeper/),
  });
  await expect(client.stat('/no')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('everything killed at once and started again has every acknowledged file', async () => {
  const client = await cluster.connect();
  const bytes = seededBytes(10, 6 * chunk + 1);
  await client.upload(bytes, '/kept', { chunkSizeBytes: chunk });
  await cluster.killAll();
  await cluster.startAll();
  const again = await cluster.connect();
  expect((await readAll(again.createReadStream('/kept'))).equals(bytes)).toBe(true);
  await waitForCopies(again, '/kept', 3);
});
