/**
 * Permissions are taken away under a running keeper and given back: its disk is whole, and nobody may take anything on
 * it for lost meanwhile, nor keep the keeper out of service afterwards.
 */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { chmod, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type RunningCommand, permissionsMatter, start } from '../support/command.js';
import { readAll, seededBytes, temporaryFolder } from '../support/files.js';
import { listKeepers } from '../support/keeper-calls.js';
import { expectChecked } from '../support/oracle.js';
import { waitFor } from '../support/wait.js';

const chunkSizeBytes = 64 * 1024;
const bytes = seededBytes(1, 12 * chunkSizeBytes);
const bound = permissionsMatter() ? it : it.skip;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let dataDir: string;
let cluster: Cluster;
let client: HoldfastClient;
let keeper: RunningCommand;

beforeEach(async () => {
  if (!permissionsMatter()) return;
  folder = await temporaryFolder();
  dataDir = join(folder.path, 'denied');
  cluster = await startCluster({ keepers: 2, trackerSettings: { repairTickMs: 100 } });
  const words = ['--data-dir', dataDir, '--tracker', cluster.trackerAddress, '--listen', '127.0.0.1:0'];
  keeper = start('data-keeper', words, { unprivileged: true, limitMs: 600_000 });
  client = await cluster.connect();
  await waitFor('the keeper', async () => (await third())?.reported);
});

afterEach(async () => {
  if (!permissionsMatter()) return;
  keeper.child.kill();
  await keeper.finished;
  await cluster.stop();
  await folder.remove();
});

/** The one that is bound by permissions. */
const third = async () => {
  const inProcess = cluster.keepers.map(({ keeperId }) => keeperId);
  const keepers = await listKeepers(cluster.trackerAddress);
  return keepers.find((status) => !inProcess.includes(status.keeper?.keeperId ?? ''));
};
const pieces = async (): Promise<string[]> => {
  const names = await readdir(join(dataDir, 'chunks'), { recursive: true });
  return names.filter((name) => name.endsWith('.0')).sort();
};
const eventKinds = async (): Promise<string[]> => {
  const kinds: string[] = [];
  for await (const { kind } of client.events()) kinds.push(kind);
  return kinds;
};

bound(
  'a keeper that is denied a piece, a directory or everything (needs setpriv where root runs it)',
  async () => {
    await client.upload(bytes, '/file', { chunkSizeBytes });
    await waitFor('all copies', async () => (await client.stat('/file')).durability?.fewest === 3);
    const held = await pieces();
    const victim = join(dataDir, 'chunks', held[0]!);
    for (const path of [victim, dirname(victim), dataDir]) {
      const { mode } = await stat(path);
      await chmod(path, 0);
      // It registers, and is to report, anew. Without its directory it cannot write down whom it obeys.
      const reports = path !== dataDir;
      if (reports) await cluster.tracker.restart();
      await waitFor(`the keeper to say so of ${path}`, async () => {
        return (await third())?.storageError.includes('EACCES');
      });
      expect((await third())?.reported).toBe(!reports);
      expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
      await client.upload(bytes, '/more', { chunkSizeBytes, overwrite: true });
      await chmod(path, mode);
      await waitFor(`the keeper to be back from ${path}`, async () => {
        const status = await third();
        return status?.storageError === '' && status.reported;
      });
      await waitFor('all copies', async () => (await client.status()).chunksBelowPolicy === 0);
    }
    const left = await pieces();
    expect(held.filter((name) => !left.includes(name))).toEqual([]);
    expect(await eventKinds()).not.toContain('piece-bad');
    expect((await readAll(client.createReadStream('/more'))).equals(bytes)).toBe(true);
    await expectChecked(cluster);
  },
  600_000,
);
