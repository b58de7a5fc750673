/**
 * The floor with a network: a plain Node HTTP/1.1 copy service, a server process for each copy and a client
 * process that sends to all of them. What Node can reach without gRPC, checksums and metadata.
 */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Child } from '../children/child.js';
import type { Contender, ContenderOptions, RunningContender } from '../contender.js';
import type { ProxyMethods } from '../delay/proxy-process.js';
import { nodeSettings } from '../node-settings.js';
import type { HttpClientMethods } from './http-client-process.js';
import type { HttpServerMethods } from './http-server-process.js';

export const http: Contender = {
  name: 'http',
  abilities: ['many files', 'ranges', 'delay'],
  unavailable: () => Promise.resolve(undefined),
  start: startHttp,
};

const serverModule = new URL('./http-server-process.js', import.meta.url);
const clientModule = new URL('./http-client-process.js', import.meta.url);
const proxyModule = new URL('../delay/proxy-process.js', import.meta.url);

async function startHttp(options: ContenderOptions): Promise<RunningContender> {
  const { dataDir, replicas, sync, roundTripMs } = options;
  const servers: Child<HttpServerMethods>[] = [];
  // The same settings of Node as the product's processes have, so that the protocol makes the difference.
  const client = await Child.start<HttpClientMethods>(clientModule, nodeSettings);
  const proxy = roundTripMs === undefined ? undefined : await Child.start<ProxyMethods>(proxyModule);
  const stop = async (): Promise<void> => {
    await Promise.all([client, ...servers, ...(proxy ? [proxy] : [])].map((child) => child.stop()));
  };
  try {
    const ports: number[] = [];
    for (let number = 1; number <= replicas; number += 1) {
      const folder = join(dataDir, `server-${number}`);
      await mkdir(folder);
      const server = await Child.start<HttpServerMethods>(serverModule, nodeSettings);
      servers.push(server);
      const port = await server.call('listen', folder, sync);
      ports.push(proxy ? await proxy.call('delay', port, (roundTripMs ?? 0) / 2) : port);
    }
    await client.call('connect', ports);
  } catch (error) {
    await stop();
    throw error;
  }
  return running(client, servers, sync, stop);
}

function running(
  client: Child<HttpClientMethods>,
  servers: readonly Child<HttpServerMethods>[],
  sync: boolean,
  stop: () => Promise<void>,
): RunningContender {
  /** The service has no metadata: the bench remembers how long each file is. */
  const sizes = new Map<string, number>();
  const sizeOf = (name: string): number => sizes.get(name) ?? 0;
  return {
    async upload(localPath, name, how) {
      sizes.set(name, (await stat(localPath)).size);
      await client.call('upload', localPath, name, how);
    },
    download: (name) => client.call('download', name, sizeOf(name)),
    downloadToFile: (name, localPath, how) =>
      client.call('downloadToFile', name, sizeOf(name), localPath, sync, how),
    remove: (name) => client.call('remove', name, sizeOf(name)),
    uploadMany: (batch) => client.call('uploadMany', batch),
    downloadMany: (batch) => client.call('downloadMany', batch),
    verifyMany: (batch) => client.call('verifyMany', batch),
    readRanges: (name, ranges, inFlight) => client.call('readRanges', name, ranges, inFlight),
    digestRanges: (name, ranges) => client.call('digestRanges', name, ranges),
    processes: () => [
      { role: 'client', pid: client.pid },
      ...servers.map(({ pid }) => ({ role: 'server' as const, pid })),
    ],
    stop,
  };
}
