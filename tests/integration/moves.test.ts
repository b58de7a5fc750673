/** Keepers are emptied, added and forgotten while files go up and come down: nothing is lost, and the count is true. */
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { afterEach, expect, it } from '@jest/globals';
import { setTimeout } from 'node:timers/promises';
import { runHere } from '../support/command-here.js';
import { start } from '../support/command.js';
import { readAll, seededBytes } from '../support/files.js';
import { waitForCopies } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

const trackerSettings = {
  // A piece that moves waits for a tick and then for a heartbeat.
  heartbeatIntervalMs: 50,
  suspectAfterMs: 1_000,
  // None is to be dead here: what it has would be copied beside what moves.
  deadAfterMs: 60_000,
  repairTickMs: 50,
};
/** So slow that a drain is sure to be under way when it is looked at. */
const slowRepair = {
  ordinary: { perTarget: 1, perSource: 1, total: 1 },
  endangered: { perTarget: 4, perSource: 4, total: 1_000 },
  brakeShare: 0.25,
  brakeMinKeepers: 2,
  brakeWindowMs: 600_000,
  busyStreams: 1,
};
const chunkSizeBytes = 64 * 1024;
let cluster: Cluster | undefined;

afterEach(() => cluster?.stop());

/** Uploads up to `uploads` files and reads until it is told to stop; then says what must be there. */
function load(client: HoldfastClient, prefix: string, uploads = Infinity) {
  const files = new Map<string, Buffer>();
  let stopped = false;
  const work = (async () => {
    for (let index = 0; !stopped; index += 1) {
      if (index < uploads) {
        const path = `${prefix}${index % 10}`;
        const bytes = seededBytes(index, 3 * chunkSizeBytes + index);
        files.delete(path);
        await client.upload(bytes, path, { overwrite: true, chunkSizeBytes });
        files.set(path, bytes);
      }
      const some = [...files.keys()][index % files.size];
      if (some === undefined) continue;
      const read = await readAll(client.createReadStream(some));
      expect(read.equals(files.get(some)!)).toBe(true);
      // It is to be under way all the time, and to leave the machine to what moves.
      await setTimeout(20);
    }
  })();
  // Told by stop(); a test that failed before must not be the end of the process.
  work.catch(() => undefined);
  return {
    stop: async (): Promise<Map<string, Buffer>> => {
      stopped = true;
      await work;
      return files;
    },
  };
}

async function expectAll(client: HoldfastClient, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [path, bytes] of files) {
    expect((await readAll(client.createReadStream(path))).equals(bytes)).toBe(true);
  }
}

it('a keeper is emptied under load, across a restart of the tracker, cancelled, resumed, and taken away', async () => {
  cluster = await startCluster({
    keepers: 5,
    trackerSettings: { ...trackerSettings, repairLimits: slowRepair },
  });
  const client = await cluster.connect();
  const kept = new Map<string, Buffer>();
  for (let index = 0; index < 4; index += 1) {
    const bytes = seededBytes(1_000 + index, 8 * chunkSizeBytes);
    await client.upload(bytes, `/kept${index}`, { chunkSizeBytes });
    kept.set(`/kept${index}`, bytes);
  }
  const leaver = cluster.keepers[0]!;
  const { keeperId } = (await client.status()).keepers.find((each) => each.address === leaver.address)!;
  const standing = async () => (await client.status()).keepers.find((each) => each.keeperId === keeperId);
  const running = load(client, '/load');

  const jobId = await client.drainKeeper(keeperId);
  await waitFor('some pieces to be elsewhere', async () => (await client.getJob(jobId)).done > 3);
  await cluster.tracker.kill();
  await cluster.tracker.start();
  const resumed = await client.getJob(jobId);
  expect(resumed).toMatchObject({ kind: 'drain', state: 'running' });
  expect((await standing())?.draining).toBe(true);
  await waitFor('it to go on', async () => (await client.getJob(jobId)).done > resumed.done);
  expect((await client.cancelJob(jobId)).state).toBe('cancelled');
  expect((await standing())?.draining).toBe(false);

  const flags = ['--json', '--tracker', cluster.trackerAddress];
  const drained = await runHere(['drain', leaver.address, '--wait', ...flags]);
  expect(drained).toMatchObject({ status: 0 });
  const job = JSON.parse(drained.stdout.toString()) as { jobId: string; state: string; text: string };
  expect(job).toMatchObject({ state: 'done', text: expect.stringMatching(/empty by its own report/) });
  expect((await standing())?.pieces).toBe(0);
  const files = await running.stop();
  expect((await standing())?.pieces).toBe(0);

  expect((await runHere(['forget', keeperId.slice(0, 8), ...flags])).status).toBe(4);
  await leaver.stop();
  expect(await runHere(['forget', keeperId.slice(0, 8), ...flags])).toMatchObject({ status: 0 });
  const after = await client.status();
  expect(after.keepers).toHaveLength(4);
  // A third copy that was late is made when a keeper has time for it.
  await waitFor('all copies', async () => (await client.status()).chunksBelowPolicy === 0);
  const shown = await runHere(['jobs', ...flags]);
  expect(JSON.parse(shown.stdout.toString())).toMatchObject({
    jobs: [
      { jobId: job.jobId, state: 'done' },
      { jobId, state: 'cancelled' },
    ],
  });
  await expectAll(client, new Map([...kept, ...files]));
});

it('a drain that lacks a keeper says so, outlives whoever waits for it, and ends when there is one', async () => {
  cluster = await startCluster({ keepers: 3, trackerSettings });
  const client = await cluster.connect();
  const bytes = seededBytes(3, 5 * chunkSizeBytes);
  await client.upload(bytes, '/file', { chunkSizeBytes });
  await waitForCopies(client, '/file', 3);
  const [leaver] = cluster.keepers;
  const flags = ['--tracker', cluster.trackerAddress];
  const waiting = start('client', ['drain', leaver!.address, '--wait', ...flags]);
  await waitFor(
    'what it lacks',
    () => waiting.stderr().includes('no target with room: add a keeper'),
    180_000,
  );
  waiting.child.kill('SIGINT');
  const interrupted = await waiting.finished;
  expect(interrupted).toMatchObject({ status: 130, stderr: expect.stringMatching(/goes on in the cluster/) });
  await cluster.addKeeper();
  const job = (await client.listJobs().next()).value!;
  expect(await client.waitForJob(job.jobId)).toMatchObject({ state: 'done', done: 5, expected: 5 });
  await leaver!.kill();
  expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
  await waitForCopies(client, '/file', 3);
  const back = await runHere(['drain', leaver!.address, '--cancel', ...flags]);
  expect(back).toMatchObject({ status: 0 });
  expect(back.stdout.toString()).toMatch(/was done, and undone since: the keeper takes pieces again/);
  const again = await runHere(['drain', leaver!.address, '--cancel', ...flags]);
  expect(again).toMatchObject({ status: 3, stderr: expect.stringMatching(/is not being drained/) });
});

it('a new keeper of twice the size is given its share under load, and not more', async () => {
  const capacityBytes = 16 * 1024 ** 2;
  cluster = await startCluster({ keepers: [1, 2, 3, 4].map(() => ({ capacityBytes })), trackerSettings });
  const client = await cluster.connect();
  const bytes = seededBytes(5, 100 * chunkSizeBytes);
  await client.upload(bytes, '/big', { chunkSizeBytes });
  const grown = await cluster.addKeeper({ capacityBytes: 2 * capacityBytes });
  await waitFor('the new keeper', async () => (await client.status()).keepers.length === 5);
  // What is replaced keeps its room for a while, so a load without end would fill these small keepers.
  const running = load(client, '/load', 12);
  const jobId = await client.rebalance();
  const job = await client.waitForJob(jobId);
  expect(job).toMatchObject({ state: 'done' });
  const files = await running.stop();
  // The mean is at least 300 pieces of 96 MiB, a fifth; the new one is to have 15 hundredths at least.
  const { keepers } = await client.status();
  const pieces = keepers.find((each) => each.address === grown.address)!.pieces;
  const shareBytes = (pieces * chunkSizeBytes) / (2 * capacityBytes);
  const mean = (keepers.reduce((sum, each) => sum + each.pieces, 0) * chunkSizeBytes) / (6 * capacityBytes);
  expect(shareBytes).toBeGreaterThan(mean - 0.06);
  expect(shareBytes).toBeLessThan(mean + 0.01);
  expect(job.doneBytes).toBeLessThan(1.2 * pieces * chunkSizeBytes);
  await waitFor('the last surplus to be trimmed', async () => {
    const { durability } = await client.stat('/big');
    return durability?.fewest === 3 && durability.chunksBelowPolicy === 0;
  });
  await expectAll(client, new Map([['/big', bytes], ...files]));
});
