/**
 * The disk of one keeper is full to the last byte, because others have filled it, and then is taken away altogether:
 * the cluster goes on, what was deleted goes, what is damaged is found, nothing is written to what is under the mount
 * point, and when the disk is back so is the keeper, without anybody's help.
 */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { open, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { readAll, seededBytes, temporaryFolder } from '../support/files.js';
import { listKeepers } from '../support/keeper-calls.js';
import { LoopDisk, missingForHungWrites } from '../support/loop-disk.js';
import { expectChecked } from '../support/oracle.js';
import { waitForCopies } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

const MiB = 1024 ** 2;
const chunk = MiB;
const missing = missingForHungWrites();
const onDisk = missing === undefined ? it : it.skip;
const needing = missing === undefined ? '' : ` (needs ${missing})`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let disk: LoopDisk;
let cluster: Cluster;
let client: HoldfastClient;

beforeEach(async () => {
  if (missing !== undefined) return;
  folder = await temporaryFolder();
  const dataDir = join(folder.path, 'cluster');
  disk = await LoopDisk.make(join(dataDir, 'keeper-1'), join(folder.path, 'disk.img'), 256 * MiB);
  cluster = await startCluster({
    dataDir,
    // A fourth for what the first one has no room for is started by the test that needs it.
    keepers: 3,
    trackerSettings: {
      ...{ heartbeatIntervalMs: 100, suspectAfterMs: 1_000, deadAfterMs: 2_500, repairTickMs: 100 },
      ...{ reclaimGraceMs: 0, tokenLifetimeMs: 1_000 },
    },
    keeperSettings: { scrubPeriodMs: 2_000, scrubShare: 1, scrubShareBesideClients: 1 },
  });
  client = await cluster.connect();
});

afterEach(async () => {
  if (missing !== undefined) return;
  await cluster.stop();
  await disk.remove();
  await folder.remove();
});

const first = async () => {
  const { keeperId } = cluster.keepers[0]!;
  const keepers = await listKeepers(cluster.trackerAddress);
  return keepers.find((status) => status.keeper?.keeperId === keeperId)!;
};
const pieces = async (directory: string): Promise<string[]> =>
  (await readdir(join(disk.path, directory), { recursive: true })).filter((name) => name.endsWith('.0'));

onDisk(
  `a disk that is full to the last byte${needing}`,
  async () => {
    const bytes = seededBytes(1, 12 * chunk);
    await client.upload(seededBytes(2, 12 * chunk), '/deleted', { chunkSizeBytes: chunk });
    // An upload returns with two copies; the third one may be this keeper's.
    await waitFor('all copies', async () => (await pieces('chunks')).length === 12);
    const doomed = await pieces('chunks');
    await client.upload(bytes, '/kept', { chunkSizeBytes: chunk });
    await waitFor('all copies', async () => (await pieces('chunks')).length === 24);
    const kept = (await pieces('chunks')).filter((name) => !doomed.includes(name));
    await disk.fill('others');
    expect((await statfs(disk.path)).bavail).toBe(0);
    await waitFor('the keeper to say so', async () => (await first()).capacity?.freeBytes === 0);

    // A tracker that starts anew is obeyed: that has to be written down first.
    await cluster.tracker.restart();
    await waitFor('the keeper to be taken up', async () => (await first()).reported);
    // What is deleted goes to the trash, however full it is.
    await client.remove('/deleted');
    await waitFor('the pieces to be in the trash', async () => {
      const left = await pieces('chunks');
      return !doomed.some((name) => left.includes(name));
    });
    // Damage is found and set aside.
    const victim = join(disk.path, 'chunks', kept[0]!);
    const file = await open(victim, 'r+');
    await file.write(Buffer.from('damaged'), 0, 7, 4_096 + 1_000);
    await file.close();
    await waitFor('the damage to be found', async () => (await pieces('quarantine')).length === 1);
    expect((await readAll(client.createReadStream('/kept'))).equals(bytes)).toBe(true);
    // New files go elsewhere.
    await client.upload(bytes, '/new', { chunkSizeBytes: chunk });
    await waitForCopies(client, '/new', 2);
    expect((await first()).storageError).toBe('');

    await rm(join(disk.path, 'others'));
    await waitFor(
      'the keeper to have room',
      async () => ((await first()).capacity?.freeBytes ?? 0) > 100 * MiB,
    );
    await waitFor('all copies', async () => (await client.status()).chunksBelowPolicy === 0);
    expect((await first()).storageError).toBe('');
    // The scrubber writes there for a moment, again and again; what was left of a full disk would stay.
    await waitFor('nothing half-written', async () => (await readdir(join(disk.path, 'tmp'))).length === 0);
    await expectChecked(cluster);
  },
  600_000,
);

onDisk(
  `a disk that is unmounted under a running keeper${needing}`,
  async () => {
    const bytes = seededBytes(4, 12 * chunk);
    await client.upload(bytes, '/file', { chunkSizeBytes: chunk });
    // The upload returns with two copies; a keeper that is late for a moment gets its own afterwards.
    await waitForCopies(client, '/file', 3);
    // More than the file's, if an attempt to write a chunk was in vain: that one's go to the trash.
    const held = await pieces('chunks');
    expect(held.length).toBeGreaterThanOrEqual(12);
    await cluster.addKeeper();
    await disk.unmount();
    await waitFor('the keeper to be given up', async () => (await first()).state === 'KEEPER_STATE_DEAD');
    await waitFor('it to say why', async () => /not there/.test((await first()).storageError));
    await waitForCopies(client, '/file', 3);
    expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
    expect(await readdir(disk.path)).toEqual([]);
    await disk.mount();
    await waitFor('the keeper to be back', async () => (await first()).state === 'KEEPER_STATE_LIVE');
    // With it there are four copies of each chunk, and those that the tracker gives up may be its own.
    const left = await pieces('chunks');
    const trashed = (await readdir(join(disk.path, 'trash'))).map((name) => join(name.slice(0, 2), name));
    expect(held.filter((name) => ![...left, ...trashed].includes(name))).toEqual([]);
    expect(await pieces('quarantine')).toEqual([]);
    await waitFor('its storage to be fine', async () => (await first()).storageError === '');
    await client.upload(bytes, '/more', { chunkSizeBytes: chunk });
    expect((await readAll(client.createReadStream('/more'))).equals(bytes)).toBe(true);
    await expectChecked(cluster);
  },
  600_000,
);
