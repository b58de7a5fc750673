/** Faults by name: each must be felt while it lasts, harm nobody's bytes, and be over when it ends. */
import { afterEach, expect, it } from '@jest/globals';
import { type HoldfastClient, connect } from '@holdfast/client';
import { existsSync } from 'node:fs';
import { type Cluster, type StartClusterOptions, startCluster } from '../src/index.js';

let cluster: Cluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

async function start(options: StartClusterOptions): Promise<{ cluster: Cluster; client: HoldfastClient }> {
  cluster = await startCluster({ faults: true, ...options });
  return { cluster, client: await cluster.connect() };
}

async function read(client: HoldfastClient, path: string): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of client.createReadStream(path)) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

async function timed(work: Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work;
  return performance.now() - startMs;
}

const onlyCopy = { replicas: 1, minWrite: 1 };

it('kill: the keeper is away, and back with its data', async () => {
  const { cluster, client } = await start({ keepers: 1 });
  await client.upload(Buffer.from('kept'), '/kept', onlyCopy);
  const fault = await cluster.keepers[0]!.fault('kill');
  expect(cluster.keepers[0]!.running).toBe(false);
  const reading = read(client, '/kept');
  await fault.end();
  expect(await reading).toBe('kept');
});

it('partition: nobody gets through, nobody is told, and what waited goes on', async () => {
  // Suspected long before the read gives up.
  const trackerSettings = { heartbeatIntervalMs: 100, suspectAfterMs: 1_000 };
  const { cluster, client } = await start({ keepers: 1, trackerSettings });
  await client.upload(Buffer.from('kept'), '/kept', onlyCopy);
  const fault = await cluster.keepers[0]!.fault('partition');
  let isRead = false;
  const reading = read(client, '/kept').then((text) => {
    isRead = true;
    return text;
  });
  // The tracker hears nothing of it any more: that is what tells that nothing passes in this direction either.
  for (;;) {
    const [keeper] = (await client.status()).keepers;
    if (keeper?.state === 'suspect') break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(isRead).toBe(false);
  await fault.end();
  expect(await reading).toBe('kept');
});

it('partition of the tracker: calls wait for it', async () => {
  const { cluster, client } = await start({ keepers: 1 });
  const fault = await cluster.tracker.fault('partition');
  await expect(client.stat('/', { signal: AbortSignal.timeout(500) })).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  await fault.end();
  expect(await client.stat('/')).toMatchObject({ type: 'directory' });
});

it('slow: takes at least the delay each way, and no longer when it is over', async () => {
  const { cluster, client } = await start({ keepers: 1 });
  await client.upload(Buffer.from('kept'), '/kept', onlyCopy);
  const fault = await cluster.keepers[0]!.fault('slow', { delayMs: 300 });
  expect(await timed(read(client, '/kept'))).toBeGreaterThan(600);
  await fault.end();
  // With the delay none ever takes less; without it one does once the machine is not busy.
  while ((await timed(read(client, '/kept'))) >= 300);
});

it('full: nothing more fits, what is there can be read, and then there is room again', async () => {
  const { cluster, client } = await start({ keepers: 1 });
  await client.upload(Buffer.from('kept'), '/kept', onlyCopy);
  const fault = await cluster.keepers[0]!.fault('full');
  const options = { ...onlyCopy, signal: AbortSignal.timeout(3_000) };
  await expect(client.upload(Buffer.from('more'), '/more', options)).rejects.toMatchObject({
    code: expect.stringMatching(/OUT_OF_SPACE|NOT_ENOUGH_KEEPERS|CANCELLED/) as unknown,
  });
  expect(await read(client, '/kept')).toBe('kept');
  await fault.end();
  for (;;) {
    try {
      await client.upload(Buffer.from('more'), '/more', { ...onlyCopy, overwrite: true });
      break;
    } catch {
      // The keeper tries its disk from time to time.
    }
  }
  expect(await read(client, '/more')).toBe('more');
});

it('corrupt: another copy is read, and without one there is an error and no wrong byte', async () => {
  const { cluster, client } = await start({ keepers: 2, faults: false });
  await client.upload(Buffer.from('kept'), '/kept', { replicas: 2, minWrite: 2 });
  await cluster.keepers[0]!.fault('corrupt');
  expect(await read(client, '/kept')).toBe('kept');
  await client.upload(Buffer.from('lone'), '/lone', onlyCopy);
  for (const keeper of cluster.keepers) await keeper.fault('corrupt');
  await expect(read(client, '/lone')).rejects.toMatchObject({ code: 'DATA_LOSS' });
});

it('corrupt: what is corrupted twice is not whole again', async () => {
  const { cluster, client } = await start({ keepers: 1, faults: false });
  await client.upload(Buffer.from('kept'), '/kept', onlyCopy);
  await cluster.keepers[0]!.fault('corrupt');
  await cluster.keepers[0]!.fault('corrupt');
  await expect(read(client, '/kept')).rejects.toMatchObject({ code: 'DATA_LOSS' });
});

it('says which faults a cluster does not offer', async () => {
  const { cluster } = await start({ keepers: 1, faults: false });
  await expect(cluster.keepers[0]!.fault('slow')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(cluster.tracker.fault('corrupt')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

it('several start at once and clean up after themselves, in the middle of a fault too', async () => {
  const startMs = performance.now();
  const clusters = await Promise.all([true, false, true].map((faults) => startCluster({ faults })));
  // 500 ms alone is the promise; here three share the machine with other tests.
  expect(performance.now() - startMs).toBeLessThan(5_000);
  for (const each of clusters) {
    await using disposed = each;
    const client = await connect({ tracker: disposed.trackerAddress });
    await client.upload(Buffer.from('x'), '/x');
    client.close();
    if (each !== clusters[1]) await disposed.keepers[0]!.fault('partition');
  }
  for (const each of clusters) expect(existsSync(each.dataDir)).toBe(false);
});
