/** The product: a tracker and three keepers as processes, and its library in a client process, with defaults. */
import type { Child } from '../children/child.js';
import type { Contender, ContenderOptions, RunningContender } from '../contender.js';
import { copiesFlags, runClient } from './command-line.js';
import { startClient } from './client.js';
import type { ClientMethods } from './client-process.js';
import { type BenchCluster, startCluster } from './cluster.js';
import { connectMany } from './many-clients.js';

export const holdfast: Contender = {
  name: 'holdfast',
  alwaysSyncs: true,
  abilities: ['many files', 'trees', 'ranges', 'metadata', 'many clients', 'delay'],
  unavailable: () => Promise.resolve(undefined),
  start: startHoldfast,
};

async function startHoldfast(options: ContenderOptions): Promise<RunningContender> {
  const cluster = await startCluster(options);
  try {
    return running(cluster, await startClient(cluster, options.replicas), options.replicas);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

function running(cluster: BenchCluster, client: Child<ClientMethods>, replicas: number): RunningContender {
  let hasMetadataPlace = false;
  return {
    upload: (localPath, name, how) => client.call('upload', localPath, `/${name}`, how),
    download: (name) => client.call('download', `/${name}`),
    downloadToFile: (name, localPath, how) => client.call('downloadToFile', `/${name}`, localPath, how),
    digest: (name) => client.call('digest', `/${name}`),
    remove: (name) => client.call('remove', `/${name}`),
    uploadMany: (batch) => client.call('uploadMany', batch),
    downloadMany: (batch) => client.call('downloadMany', batch),
    verifyMany: (batch) => client.call('verifyMany', batch),
    async uploadTree(localDir, name) {
      const words = ['upload', '-r', localDir, `/${name}`, '--quiet', ...copiesFlags(replicas)];
      await runClient(cluster.trackerAddress, ...words);
    },
    async downloadTree(name, localDir) {
      await runClient(cluster.trackerAddress, 'download', '-r', `/${name}`, localDir, '--quiet');
    },
    uploadTreeSingly: (localDir, name) => client.call('uploadTreeSingly', localDir, `/${name}`),
    readRanges: (name, ranges, inFlight) => client.call('readRanges', `/${name}`, ranges, inFlight),
    digestRanges: (name, ranges) => client.call('digestRanges', `/${name}`, ranges),
    async callMany(call, count, inFlight) {
      if (!hasMetadataPlace) await client.call('makeMetadataPlace');
      hasMetadataPlace = true;
      return client.call('callMany', call, count, inFlight);
    },
    connectMany: (count) => connectMany(cluster, replicas, count),
    processes: () => [{ role: 'client', pid: client.pid }, ...cluster.processes()],
    async stop() {
      await client.stop();
      await cluster.stop();
    },
  };
}
