/** The product's servers, each a process; with a round-trip time between all of them if that is asked for. */
import { type Cluster, startProcessCluster } from '@holdfast/local-cluster';
import { Child } from '../children/child.js';
import type { ContenderOptions, ContenderProcess } from '../contender.js';
import type { ProxyMethods } from '../delay/proxy-process.js';
import { freePorts } from '../delay/free-ports.js';

const proxyModule = new URL('../delay/proxy-process.js', import.meta.url);

export interface BenchCluster {
  /** Where clients connect. */
  readonly trackerAddress: string;
  processes(): readonly ContenderProcess[];
  stop(): Promise<void>;
}

export async function startCluster(
  options: Omit<ContenderOptions, 'replicas' | 'sync'>,
): Promise<BenchCluster> {
  const { dataDir, keepers, roundTripMs } = options;
  if (roundTripMs !== undefined) return delayedCluster(dataDir, keepers, roundTripMs);
  // What a trial removes is to give its room back to the next one.
  const trackerFlags = ['--trash-retention=0s'];
  const cluster = await startProcessCluster({ dataDir, keepers, trackerFlags });
  return {
    trackerAddress: cluster.trackerAddress,
    processes: () => processesOf(cluster),
    stop: () => cluster.stop(),
  };
}

function processesOf({ tracker, keepers: members }: Cluster): ContenderProcess[] {
  return [
    { role: 'tracker', pid: tracker.pid ?? 0 },
    ...members.map(({ pid }) => ({ role: 'keeper' as const, pid: pid ?? 0 })),
  ];
}

/** Clients reach the tracker, and everybody the keepers, through the proxy: keepers advertise its addresses. */
async function delayedCluster(dataDir: string, keepers: number, roundTripMs: number): Promise<BenchCluster> {
  const proxy = await Child.start<ProxyMethods>(proxyModule);
  const flags: string[] = [];
  let cluster: Cluster | undefined;
  const stop = async (): Promise<void> => {
    await cluster?.stop();
    await proxy.stop();
  };
  try {
    const keeperPorts = await freePorts(keepers);
    const [firstKeeperPort = 0] = keeperPorts;
    const started = await startProcessCluster({ dataDir, keepers: [], firstKeeperPort, keeperFlags: flags });
    cluster = started;
    const delayed = (port: number): Promise<number> => proxy.call('delay', port, roundTripMs / 2);
    const trackerPort = await delayed(Number(started.trackerAddress.split(':').at(-1)));
    for (const port of keeperPorts) {
      // The flags are read whenever a keeper starts, and each has an address of its own to tell.
      flags.splice(0, flags.length, '--advertise', `127.0.0.1:${await delayed(port)}`);
      await started.addKeeper();
    }
    return {
      trackerAddress: `127.0.0.1:${trackerPort}`,
      // The proxy is left out: it stands for a network.
      processes: () => processesOf(started),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
