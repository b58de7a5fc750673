/**
 * A keeper dies while a 1 GiB file goes up, another one while it comes down: both commands end 0, the file is
 * identical, and within 60 s every chunk has its three copies on keepers that live.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { connect } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { peakResidentBytesOf, start } from '../support/command.js';
import { sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';
import { waitFor } from '../support/wait.js';

const sizeBytes = 1024 ** 3;
/** The promise of bounded memory, for the client and for each keeper, at the default concurrency. */
const residentLimitBytes = 250e6;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let expectAsBefore: () => Promise<void>;
let source: string;
let digest: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  source = join(folder.path, 'random.bin');
  digest = await writeSeededFile(source, sizeBytes, 20_261_120);
  ({ cluster, expectAsBefore } = await startMeasuredCluster(4, join(folder.path, 'cluster')));
});

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

/** Bytes on all keepers' disks, as the tracker knows from their heartbeats. */
async function storedBytes(): Promise<number> {
  const client = await connect({ tracker: cluster.trackerAddress });
  try {
    const { keepers } = await client.status();
    return keepers.reduce((sum, keeper) => sum + keeper.usedBytes, 0);
  } finally {
    client.close();
  }
}

it('an upload survives kill -9 of a keeper, and its chunks get all their copies', async () => {
  const upload = start('client', ['upload', source, '/random.bin', '--tracker', cluster.trackerAddress]);
  await waitFor('a part of the file to be stored', async () => (await storedBytes()) > 256 * 1024 ** 2);
  const memory = cluster.keepers.map((keeper) => peakResidentBytesOf(keeper.pid));
  await cluster.keepers[2]!.kill();
  const killedAtMs = performance.now();
  const result = await upload.finished;
  expect({ status: result.status, stderr: result.stderr }).toMatchObject({ status: 0 });
  expect(Math.max(...memory, result.peakResidentBytes)).toBeLessThan(residentLimitBytes);

  const client = await connect({ tracker: cluster.trackerAddress });
  await waitFor(
    'every chunk to have its copies on live keepers',
    async () => {
      const { keepers, chunksBelowPolicy } = await client.status();
      const dead = keepers.filter((keeper) => keeper.state === 'dead').length;
      return dead === 1 && chunksBelowPolicy === 0;
    },
    Math.max(1_000, 60_000 - (performance.now() - killedAtMs)),
  );
  expect((await client.stat('/random.bin')).durability).toMatchObject({ fewest: 3, wanted: 3 });
  client.close();
});

it('a download survives kill -9 of a keeper', async () => {
  const target = join(folder.path, 'back.bin');
  await cluster.keepers[2]!.start();
  const download = start('client', [
    'download',
    '/random.bin',
    target,
    '--tracker',
    cluster.trackerAddress,
    '--json',
  ]);
  // Where this look comes too late it is over.
  await waitFor('the download to be on its way', async () => {
    if (download.child.exitCode !== null) return true;
    const { readdir, stat } = await import('node:fs/promises');
    const part = (await readdir(folder.path)).find((name) => name.endsWith('.part'));
    return part !== undefined && (await stat(join(folder.path, part))).blocks * 512 > 128 * 1024 ** 2;
  });
  await cluster.keepers[0]!.kill();
  const result = await download.finished;
  expect({ status: result.status, stderr: result.stderr }).toMatchObject({ status: 0 });
  expect(await sha256Of(target)).toBe(digest);
  const memory = cluster.keepers.map((keeper) => peakResidentBytesOf(keeper.pid));
  expect(Math.max(...memory, result.peakResidentBytes)).toBeLessThan(residentLimitBytes);
});

it('in the end the check finds nothing, and nobody holds more than before', async () => {
  await cluster.keepers[0]!.start();
  await expectAsBefore();
});
