/** Bulk at full speed: small calls get through, nobody starves, and memory stays bounded. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type HoldfastClient, connect } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { type Finished, run } from '../support/command.js';
import { readAll, seededBytes, sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';
import { RawClient, checkHealth } from '../support/keeper-calls.js';

const MiB = 1024 ** 2;
/** As many chunks of 4 MiB as there are streams. */
const sizeBytes = 256 * MiB;
/** The tracker suspects a keeper that it has not heard of for this long: whatever keeps it alive must be quicker. */
const answerWithinMs = 5_000;
/** The promise of bounded memory at the default settings. */
const residentLimitBytes = 250e6;
const clientCount = 64;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let expectAsBefore: () => Promise<void>;
let client: HoldfastClient;
let source: string;
let digest: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  source = join(folder.path, 'source.bin');
  digest = await writeSeededFile(source, sizeBytes, 20_261_123);
  ({ cluster, expectAsBefore } = await startMeasuredCluster(3, join(folder.path, 'cluster')));
  client = await connect({ tracker: cluster.trackerAddress });
});

afterAll(async () => {
  client.close();
  await cluster.stop();
  await folder.remove();
});

function succeeded(result: Finished): Finished {
  expect({ status: result.status, stderr: result.stderr }).toMatchObject({ status: 0 });
  return result;
}

const transfer = async (...words: string[]): Promise<Finished> =>
  succeeded(await run('client', [...words, '--tracker', cluster.trackerAddress]));

it('64 streams of one client fit into its memory', async () => {
  const target = join(folder.path, 'back.bin');
  const up = await transfer('upload', source, '/streams', '--concurrency', '64', '--chunk-size', '4MiB');
  const down = await transfer('download', '/streams', target, '--concurrency', '64');
  expect(await sha256Of(target)).toBe(digest);
  expect(Math.max(up.peakResidentBytes, down.peakResidentBytes)).toBeLessThan(residentLimitBytes);
});

it('heartbeats, look-ups and questions about pieces go on under full load', async () => {
  await client.upload(seededBytes(1, MiB), '/small', { replicas: 3, minWrite: 3 });
  const raw = cluster.keepers.map(({ address }) => new RawClient(cluster.trackerAddress, address));
  let working = true;
  const work = Promise.all([
    transfer('upload', source, '/bulk-1'),
    transfer('upload', source, '/bulk-2'),
    transfer('download', '/streams', join(folder.path, 'bulk-1.bin')),
    transfer('download', '/streams', join(folder.path, 'bulk-2.bin')),
  ]).finally(() => {
    working = false;
  });
  work.catch(() => undefined);
  let rounds = 0;
  try {
    for (; working; rounds += 1) {
      // Each rejects when it takes too long.
      await Promise.all(cluster.keepers.map(({ address }) => checkHealth(address, answerWithinMs)));
      const lengths = await Promise.all(raw.map((each) => each.statFirstPiece('/small', answerWithinMs)));
      expect(lengths).toEqual([MiB, MiB, MiB]);
      const { keepers } = await client.status();
      expect(keepers.map(({ state }) => state)).toEqual(['live', 'live', 'live']);
    }
    await work;
  } finally {
    for (const each of raw) each.close();
  }
  expect(rounds).toBeGreaterThan(1);
});

it('64 clients at once get even parts', async () => {
  const bytes = seededBytes(2, 4 * MiB);
  const clients = await Promise.all(
    Array.from({ length: clientCount }, () => connect({ tracker: cluster.trackerAddress })),
  );
  const startMs = performance.now();
  const rates = await Promise.all(
    clients.map(async (each, index) => {
      await each.upload(bytes, `/even-${index}`);
      expect((await readAll(each.createReadStream(`/even-${index}`))).equals(bytes)).toBe(true);
      return 1 / (performance.now() - startMs);
    }),
  ).finally(() => {
    for (const each of clients) each.close();
  });
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  expect(Math.min(...rates) / mean).toBeGreaterThan(1 / 4);
});

it('in the end the check finds nothing, and nobody holds more than before', () => expectAsBefore());
