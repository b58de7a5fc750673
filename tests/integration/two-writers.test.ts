/** Two clients at one path: one whole version wins, and what lost gives its space back. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readAll, seededBytes } from '../support/files.js';
import { waitFor } from '../support/wait.js';

const chunk = 64 * 1024;
let cluster: Cluster;

beforeEach(async () => {
  cluster = await startCluster({
    keepers: 3,
    trackerSettings: {
      reclaimGraceMs: 100,
      trashRetentionMs: 0,
      repairTickMs: 100,
      heartbeatIntervalMs: 100,
    },
    keeperSettings: { trashTtlMs: 100, trashIntervalMs: 100 },
  });
});

afterEach(() => cluster.stop());

/** Pieces on all disks, in place or in the trash. */
async function piecesOnDisk(): Promise<number> {
  let count = 0;
  for (const keeper of cluster.keepers) {
    for (const folder of ['chunks', 'trash', 'tmp']) {
      const entries = await readdir(join(keeper.dataDir, folder), { recursive: true, withFileTypes: true });
      count += entries.filter((entry) => entry.isFile()).length;
    }
  }
  return count;
}

it('with overwriting allowed, both succeed, one is seen, and the other one is reclaimed', async () => {
  const contents = [1, 2].map((seed) => seededBytes(seed, 10 * chunk + 5));
  const clients = await Promise.all(contents.map(() => cluster.connect()));
  const results = await Promise.all(
    contents.map((bytes, index) =>
      clients[index]!.upload(bytes, '/same', { overwrite: true, chunkSizeBytes: chunk }),
    ),
  );
  const winner = results[0]!.version > results[1]!.version ? 0 : 1;
  const seen = await readAll(clients[0]!.createReadStream('/same'));
  expect(seen.equals(contents[winner]!)).toBe(true);
  await waitFor('the loser to be reclaimed', async () => (await piecesOnDisk()) === 11 * 3);
  expect((await readAll(clients[1]!.createReadStream('/same'))).equals(contents[winner]!)).toBe(true);
});

it('without it, exactly one succeeds and the other one leaves nothing behind', async () => {
  const contents = [1, 2].map((seed) => seededBytes(seed, 10 * chunk + 5));
  const clients = await Promise.all(contents.map(() => cluster.connect()));
  const results = await Promise.allSettled(
    contents.map((bytes, index) => clients[index]!.upload(bytes, '/same', { chunkSizeBytes: chunk })),
  );
  const winner = results.findIndex((result) => result.status === 'fulfilled');
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  expect(results.find((result) => result.status === 'rejected')).toMatchObject({
    reason: { code: 'ALREADY_EXISTS' },
  });
  expect((await readAll(clients[0]!.createReadStream('/same'))).equals(contents[winner]!)).toBe(true);
  await waitFor('the loser to be reclaimed', async () => (await piecesOnDisk()) === 11 * 3);
});

it('a removed file gives its space back', async () => {
  const client = await cluster.connect();
  await client.upload(seededBytes(3, 40 * chunk), '/big', { chunkSizeBytes: chunk });
  await client.remove('/big');
  await expect(client.stat('/big')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await waitFor('the space to come back', async () => (await piecesOnDisk()) === 0);
});

it('a reader in progress is not cut when its file is removed', async () => {
  const patient = await startCluster({
    keepers: 3,
    trackerSettings: { reclaimGraceMs: 300_000, trashRetentionMs: 0 },
  });
  const bytes = seededBytes(4, 40 * chunk);
  const client = await patient.connect();
  await client.upload(bytes, '/read', { chunkSizeBytes: chunk });
  const parts: Buffer[] = [];
  for await (const part of client.createReadStream('/read')) {
    if (parts.length === 0) await client.remove('/read');
    parts.push(part as Buffer);
  }
  expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  await patient.stop();
});
