/** The configuration of Hadoop's HDFS: what keeps its servers private, and as durable as is asked for. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContenderOptions } from '../contender.js';
import { host } from './servers.js';

export type Properties = Readonly<Record<string, string | number | boolean>>;

/** Writes the two files that a server reads into a directory of their own; resolves to that. */
export async function writeConfig(dir: string, nameNodePort: number, hdfsSite: Properties): Promise<string> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'core-site.xml'), xml({ 'fs.defaultFS': `hdfs://${host}:${nameNodePort}` }));
  await writeFile(join(dir, 'hdfs-site.xml'), xml(hdfsSite));
  return dir;
}

function xml(properties: Properties): string {
  const items = Object.entries(properties).map(
    ([name, value]) => `  <property><name>${name}</name><value>${value}</value></property>\n`,
  );
  return `<?xml version="1.0"?>\n<configuration>\n${items.join('')}</configuration>\n`;
}

export function nameNodeProperties({ dataDir, replicas }: ContenderOptions, httpPort: number): Properties {
  return {
    'dfs.namenode.name.dir': `file://${join(dataDir, 'namenode')}`,
    'dfs.namenode.http-address': `${host}:${httpPort}`,
    // A file is complete only with all its copies, so that an upload ends with them.
    'dfs.namenode.replication.min': replicas,
    // Loopback addresses have names that do not lead back to them.
    'dfs.namenode.datanode.registration.ip-hostname-check': false,
    // Who may do what is not what is measured.
    'dfs.permissions.enabled': false,
  };
}

export function dataNodeProperties(
  { dataDir, replicas, sync }: ContenderOptions,
  number: number,
  ports: { readonly data: number; readonly http: number; readonly ipc: number },
): Properties {
  return {
    'dfs.replication': replicas,
    'dfs.datanode.data.dir': `file://${join(dataDir, `datanode-${number}`)}`,
    'dfs.datanode.address': `${host}:${ports.data}`,
    'dfs.datanode.http.address': `${host}:${ports.http}`,
    'dfs.datanode.ipc.address': `${host}:${ports.ipc}`,
    // The only way to have blocks on stable storage before the client is answered; off by default.
    'dfs.datanode.synconclose': sync,
  };
}
