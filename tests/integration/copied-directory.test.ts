/** A data directory is copied and both copies are started: named, nothing is lost, and one that stops ends it. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type DataKeeper, startDataKeeper } from '@holdfast/data-keeper';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { trackerV1 } from '@holdfast/proto';
import { PeerChannel, callUnary, controlChannelOptions } from '@holdfast/shared/grpc';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { readAll, seededBytes } from '../support/files.js';
import { waitForCopies } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

const chunk = 64 * 1024;
const { ListKeepers } = trackerV1.ClusterService.service;
let cluster: Cluster;
let channel: PeerChannel;
let copy: DataKeeper | undefined;

beforeEach(async () => {
  cluster = await startCluster({
    keepers: 4,
    trackerSettings: {
      heartbeatIntervalMs: 100,
      suspectAfterMs: 1_500,
      deadAfterMs: 4_000,
      repairTickMs: 100,
    },
  });
  channel = new PeerChannel(cluster.trackerAddress, controlChannelOptions);
});

afterEach(async () => {
  channel.close();
  await copy?.kill();
  copy = undefined;
  await cluster.stop();
});

async function keeper(keeperId: string) {
  const { keepers } = await callUnary(channel, 'tracker', ListKeepers, {}, { deadlineMs: 60_000 });
  return keepers.find((each) => each.keeper?.keeperId === keeperId)!;
}

it.each(['the original', 'the copy'])('when %s is stopped, the other one is the keeper', async (which) => {
  const client = await cluster.connect();
  const before = seededBytes(1, 8 * chunk);
  await client.upload(before, '/before', { chunkSizeBytes: chunk });
  const original = cluster.keepers[0]!;
  const { keeperId } = original;
  await original.stop();
  const dataDir = join(cluster.dataDir, 'copied');
  await cp(original.dataDir, dataDir, { recursive: true });
  await original.start();
  // The lower of the two starts may be refused while it starts; its number grows with each attempt.
  await waitFor('the copy to be started', async () => {
    copy = await startDataKeeper({ dataDir, listen: '127.0.0.1:0', tracker: cluster.trackerAddress }).catch(
      () => undefined,
    );
    return copy !== undefined;
  });
  await waitFor('both to be found out', async () => (await keeper(keeperId)).identityConflict !== '');
  const { identityConflict } = await keeper(keeperId);
  expect(identityConflict).toContain(original.address);
  expect(identityConflict).toContain(copy!.address);

  const during = seededBytes(2, 8 * chunk);
  await client.upload(during, '/during', { chunkSizeBytes: chunk });
  await waitForCopies(client, '/during', 3);
  expect((await keeper(keeperId)).pieces).toBeGreaterThan(0);

  await (which === 'the copy' ? copy!.stop() : original.stop());
  await waitFor('the end of it', async () => {
    const { identityConflict: conflict, state, reported } = await keeper(keeperId);
    return conflict === '' && state === 'KEEPER_STATE_LIVE' && reported;
  });
  const left = which === 'the copy' ? original.address : copy!.address;
  expect((await keeper(keeperId)).keeper?.address).toBe(left);
  await waitFor('every copy to be there', async () => (await client.status()).chunksBelowPolicy === 0);
  for (const [path, bytes] of [
    ['/before', before],
    ['/during', during],
  ] as const) {
    expect((await readAll(client.createReadStream(path))).equals(bytes)).toBe(true);
  }
});
