/** The configuration of MooseFS's servers: what keeps them private, comparable, and as durable as is asked for. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Exists in the private namespace only, so it cannot clash with anyone's. */
export const address = '10.255.255.1';
/** MooseFS's own; in the private namespace they are always free. */
export const ports = { metaloggers: 9419, chunkservers: 9420, clients: 9421, firstChunkserver: 9422 };

type Config = Readonly<Record<string, string | number>>;

export async function writeConfig(path: string, config: Config): Promise<void> {
  const lines = Object.entries(config).map(([key, value]) => `${key} = ${value}\n`);
  await writeFile(path, lines.join(''));
}

/** What both kinds of server need to stay private and to run as everyone else here does. */
function commonConfig(dir: string): Config {
  return {
    // Their default is a user of their own, who may not write below the data directory.
    WORKING_USER: 'root',
    WORKING_GROUP: 'root',
    DATA_PATH: dir,
    // Their default, -19, is for machines that do nothing else; nobody else in a comparison has it.
    NICE_LEVEL: 0,
    DISABLE_OOM_KILLER: 0,
  };
}

export function masterConfig(dir: string, sync: boolean): Config {
  return {
    ...commonConfig(dir),
    EXPORTS_FILENAME: join(dir, 'exports.cfg'),
    TOPOLOGY_FILENAME: join(dir, 'topology.cfg'),
    // 2: the change log is synced before a change is answered, as durable metadata has to be. 0 is the default.
    CHANGELOG_SAVE_MODE: sync ? 2 : 0,
    MATOML_LISTEN_PORT: ports.metaloggers,
    MATOCS_LISTEN_PORT: ports.chunkservers,
    MATOCL_LISTEN_PORT: ports.clients,
  };
}

export function chunkserverConfig(dir: string, number: number, sync: boolean): Config {
  return {
    ...commonConfig(dir),
    HDD_CONF_FILENAME: join(dir, 'hdd.cfg'),
    HDD_FSYNC_BEFORE_CLOSE: sync ? 1 : 0,
    MASTER_HOST: address,
    MASTER_PORT: ports.chunkservers,
    // The start should not wait for the default of 5 s if a chunkserver is up before the master listens.
    MASTER_RECONNECTION_DELAY: 1,
    CSSERV_LISTEN_PORT: ports.firstChunkserver + number - 1,
  };
}
