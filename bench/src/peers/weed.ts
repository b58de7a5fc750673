/**
 * SeaweedFS (Go), where `weed` is on the PATH: a master, three volume servers and a filer, with its defaults but
 * for ports, places and replication. Files have paths here as in the product, so they go through the filer, over
 * HTTP: PUT and GET of the whole file, which the filer cuts into pieces of 4 MB.
 *
 * With `sync` a PUT asks for `fsync=true`: every volume server then syncs a piece's data before it answers. Their
 * indexes (which can be made again from the data) and the filer's metadata are not synced (seen with strace), so
 * its upload figures leave out that much, in its favour.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender, ContenderOptions, ContenderProcess } from '../contender.js';
import { freePorts } from '../delay/free-ports.js';
import { missingPrograms } from '../machine/command.js';
import { runHttpFiles } from './http-files.js';
import { host, Servers } from './servers.js';

/** As many as the product's keepers in the same comparison. */
const volumeServerCount = 3;

/** What each of its servers listens on. */
interface Ports {
  readonly http: number;
  readonly grpc: number;
}

export const weed: Contender = {
  name: 'weed',

  async unavailable() {
    const missing = await missingPrograms(['weed']);
    if (missing.length === 0) return undefined;
    return 'no weed on the PATH: https://github.com/seaweedfs/seaweedfs/releases';
  },

  async start(options) {
    const servers = new Servers(options.dataDir);
    try {
      const filerPort = await startServers(servers, options);
      const url = (name: string): string => `http://${host}:${filerPort}/${name}`;
      const places = {
        upload: (name: string) => ({ url: options.sync ? `${url(name)}?fsync=true` : url(name) }),
        download: (name: string) => ({ url: url(name) }),
        remove: url,
      };
      return await runHttpFiles(servers, places, options.sync);
    } catch (error) {
      await servers.stop();
      throw error;
    }
  },
};

/** Resolves to the filer's HTTP port when it and all volume servers answer. */
async function startServers(servers: Servers, { dataDir, replicas }: ContenderOptions): Promise<number> {
  const numbers = await freePorts(2 * (volumeServerCount + 2));
  const nextPorts = (): Ports => ({ http: numbers.pop() ?? 0, grpc: numbers.pop() ?? 0 });
  const directory = async (name: string): Promise<string> => {
    const path = join(dataDir, name);
    await mkdir(path);
    return path;
  };
  const launch = (role: ContenderProcess['role'], kind: string, ports: Ports, flags: string[]): void => {
    const listen = [`-ip=${host}`, `-ip.bind=${host}`, `-port=${ports.http}`, `-port.grpc=${ports.grpc}`];
    servers.start(role, 'weed', [kind, ...listen, ...flags]);
  };

  const master = nextPorts();
  // Without the wait for a quorum that a single master does not need, and without reports to its makers.
  const masterFlags = ['-peers=none', '-telemetry=false', `-mdir=${await directory('master')}`];
  launch('tracker', 'master', master, masterFlags);
  await servers.waitUntil('the SeaweedFS master', async () => (await get(master.http, '/cluster/status')).ok);

  // The form that SeaweedFS reads when the two ports are not 10,000 apart.
  const masterAddress = `${host}:${master.http}.${master.grpc}`;
  for (let number = 1; number <= volumeServerCount; number += 1) {
    const dir = await directory(`volume-${number}`);
    // The pause before a stop is for load balancers, of which there are none.
    launch('keeper', 'volume', nextPorts(), [`-dir=${dir}`, `-master=${masterAddress}`, '-preStopSeconds=0']);
  }
  const filer = nextPorts();
  const filerDir = await directory('filer');
  launch('server', 'filer', filer, [
    `-master=${masterAddress}`,
    `-defaultStoreDir=${filerDir}`,
    `-localSocket=${join(filerDir, 'socket')}`,
    // Three digits: copies in other data centres, in other racks, and on other servers of the same rack.
    `-defaultReplicaPlacement=00${replicas - 1}`,
  ]);
  await servers.waitUntil('the SeaweedFS filer', async () => (await get(filer.http, '/')).ok);
  await servers.waitUntil('all SeaweedFS volume servers', async () => {
    const status = (await (await get(master.http, '/dir/status')).json()) as DirectoryStatus;
    return countVolumeServers(status) === volumeServerCount;
  });
  return filer.http;
}

function get(port: number, path: string): Promise<Response> {
  return fetch(`http://${host}:${port}${path}`);
}

/** The master's picture of the cluster: data centres of racks of volume servers. */
interface DirectoryStatus {
  readonly Topology: { readonly DataCenters?: readonly { readonly Racks?: readonly Rack[] }[] };
}
interface Rack {
  readonly DataNodes?: readonly unknown[];
}

function countVolumeServers({ Topology }: DirectoryStatus): number {
  const racks = (Topology.DataCenters ?? []).flatMap((center) => center.Racks ?? []);
  return racks.flatMap((rack) => rack.DataNodes ?? []).length;
}
