/** A keeper is started while its disk is not mounted: it joins as a new one, is named, and the old one is back after. */
import { afterEach, expect, it } from '@jest/globals';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { mkdir, rename } from 'node:fs/promises';
import { run } from '../support/command.js';
import { readAll, seededBytes } from '../support/files.js';
import { waitForCopies } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

let cluster: Cluster | undefined;
afterEach(() => cluster?.stop());

it('a keeper that finds an empty mount point is told beside the one whose place it took', async () => {
  cluster = await startCluster({
    keepers: 3,
    // The one whose place is taken is not dead before it was asked about: its pieces would be elsewhere soon.
    trackerSettings: {
      heartbeatIntervalMs: 100,
      suspectAfterMs: 500,
      deadAfterMs: 60_000,
      repairTickMs: 100,
    },
  });
  const client = await cluster.connect();
  const bytes = seededBytes(1, 4 * 64 * 1024);
  await client.upload(bytes, '/file', { chunkSizeBytes: 64 * 1024 });
  await waitForCopies(client, '/file', 3);
  const keeper = cluster.keepers[0]!;
  const { keeperId, address } = keeper;
  await keeper.kill();
  const disk = `${keeper.dataDir}-unmounted`;
  await rename(keeper.dataDir, disk);
  await mkdir(keeper.dataDir);
  await keeper.start();
  expect(keeper.address).toBe(address);
  const flags = ['--tracker', cluster.trackerAddress];
  await waitFor('it to be told', async () =>
    (await client.status()).summary.includes('is its disk mounted?'),
  );
  const shown = await run('client', ['keepers', ...flags]);
  expect(shown.stdout.toString()).toMatch(
    new RegExp(`is at ${address}, where ${keeperId.slice(0, 8)} with 4 pieces was`),
  );
  const told = await run('client', ['events', ...flags]);
  expect(told.stdout.toString()).toMatch(new RegExp(`keeper-displaced .*${keeperId}`));

  await keeper.kill();
  await rename(keeper.dataDir, `${keeper.dataDir}-empty`);
  await rename(disk, keeper.dataDir);
  await keeper.start();
  await waitFor('the old one to be back', async () =>
    (await client.status()).keepers.some((each) => each.keeperId === keeperId && each.state === 'live'),
  );
  expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
});
