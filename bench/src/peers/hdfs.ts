/**
 * Hadoop's HDFS (Java), where `hdfs` is on the PATH: a name node and three data nodes in the foreground, with its
 * defaults but for what hdfs-config.ts says. Its Java client would start a virtual machine for every file, so files
 * go by WebHDFS, which is HTTP: the name node names a data node, which reads or writes the file for the client. The
 * bytes make one hop more than with the Java client, unless that data node has a copy.
 *
 * With `sync` data nodes sync each block before it counts as written. The name node always syncs its edit log.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender, ContenderOptions } from '../contender.js';
import { freePorts } from '../delay/free-ports.js';
import { command, missingPrograms } from '../machine/command.js';
import { dataNodeProperties, nameNodeProperties, writeConfig } from './hdfs-config.js';
import { runHttpFiles } from './http-files.js';
import { host, Servers } from './servers.js';

/** As many as the product's keepers in the same comparison. */
const dataNodeCount = 3;

export const hdfs: Contender = {
  name: 'hdfs',

  async unavailable() {
    const missing = await missingPrograms(['hdfs', 'java']);
    if (missing.length === 0) return undefined;
    return `no ${missing.join(', ')} on the PATH: https://hadoop.apache.org/releases.html`;
  },

  async start(options) {
    const servers = new Servers(options.dataDir);
    try {
      const httpPort = await startServers(servers, options);
      const url = (name: string, query: string): string =>
        `http://${host}:${httpPort}/webhdfs/v1/${name}?${query}`;
      const places = {
        upload: (name: string) => ({ url: url(name, 'op=CREATE&overwrite=true'), redirects: true }),
        download: (name: string) => ({ url: url(name, 'op=OPEN'), redirects: true }),
        remove: (name: string) => url(name, 'op=DELETE'),
      };
      return await runHttpFiles(servers, places, options.sync);
    } catch (error) {
      await servers.stop();
      throw error;
    }
  },
};

/** Resolves to the name node's HTTP port when all data nodes have registered. */
async function startServers(servers: Servers, options: ContenderOptions): Promise<number> {
  const [rpcPort = 0, httpPort = 0, ...ports] = await freePorts(2 + 3 * dataNodeCount);
  const configDir = (name: string): string => join(options.dataDir, `${name}.conf`);

  const nameNode = nameNodeProperties(options, httpPort);
  const nameNodeConfig = await writeConfig(configDir('namenode'), rpcPort, nameNode);
  await command('hdfs', '--config', nameNodeConfig, 'namenode', '-format', '-nonInteractive');
  servers.start('tracker', 'hdfs', ['--config', nameNodeConfig, 'namenode']);

  for (let number = 1; number <= dataNodeCount; number += 1) {
    const [data = 0, http = 0, ipc = 0] = ports.splice(0, 3);
    await mkdir(join(options.dataDir, `datanode-${number}`));
    const dataNode = dataNodeProperties(options, number, { data, http, ipc });
    const config = await writeConfig(configDir(`datanode-${number}`), rpcPort, dataNode);
    servers.start('keeper', 'hdfs', ['--config', config, 'datanode']);
  }
  await servers.waitUntil('all HDFS data nodes', async () => {
    const query = 'qry=Hadoop:service=NameNode,name=FSNamesystemState';
    const answer = await fetch(`http://${host}:${httpPort}/jmx?${query}`);
    const { beans } = (await answer.json()) as { readonly beans: readonly NameSystemState[] };
    return beans[0]?.NumLiveDataNodes === dataNodeCount;
  });
  return httpPort;
}

interface NameSystemState {
  readonly NumLiveDataNodes: number;
}
