/** The cluster that tests embed. */
import { expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { startCluster } from '../src/index.js';

it('starts, keeps its address over restarts, and leaves nothing behind', async () => {
  const cluster = await startCluster({ keepers: [{ zone: 'a' }, { zone: 'b' }] });
  const address = cluster.trackerAddress;
  const client = await cluster.connect();
  expect((await client.status()).keepers.map(({ zone }) => zone).sort()).toEqual(['a', 'b']);
  await client.upload(Buffer.from('kept'), '/kept');
  await cluster.tracker.restart();
  await cluster.keepers[0]?.restart();
  expect(cluster.trackerAddress).toBe(address);
  const third = await cluster.addKeeper({ zone: 'c' });
  expect(third.running).toBe(true);
  const again = await cluster.connect();
  const parts: Buffer[] = [];
  for await (const part of again.createReadStream('/kept')) parts.push(part as Buffer);
  expect(Buffer.concat(parts).toString()).toBe('kept');
  await cluster.stop();
  expect(existsSync(cluster.dataDir)).toBe(false);
});

it('several at once do not meet', async () => {
  const clusters = await Promise.all([startCluster({ keepers: 2 }), startCluster({ keepers: 2 })]);
  const [first, second] = await Promise.all(clusters.map((cluster) => cluster.connect()));
  await first?.upload(Buffer.from('1'), '/only-here');
  await expect(second?.stat('/only-here')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await Promise.all(clusters.map((cluster) => cluster.stop()));
});

it('a start that fails leaves nothing running and says why', async () => {
  const cluster = await startCluster({ keepers: 1 });
  await expect(startCluster({ keepers: 1, dataDir: cluster.dataDir })).rejects.toMatchObject({
    code: 'DATA_DIR_LOCKED',
  });
  await cluster.stop();
});
