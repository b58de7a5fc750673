/**
 * A whole cluster inside this process: real servers, real sockets on loopback, real files in a directory of its
 * own. For tests and for embedding.
 */
import {
  type DataKeeper,
  type DataKeeperOptions,
  type KeeperSettings,
  startDataKeeper,
} from '@holdfast/data-keeper';
import { type MasterTracker, type TrackerSettings, startMasterTracker } from '@holdfast/master-tracker';
import { type Logger, silentLogger } from '@holdfast/shared';
import { nodeFileSystem } from '@holdfast/shared/node';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, type KeeperOptions, type Launchers } from './cluster.js';
import { launchFaultyKeeper, launchFaultyTracker } from './faulty-launch.js';
import { fillable } from './fillable-file-system.js';

export interface StartClusterOptions {
  /** How many keepers, or one description for each. Default 3. */
  readonly keepers?: number | readonly KeeperOptions[];
  /** Where everything is kept. Default: a new temporary directory, removed by `stop()`. */
  readonly dataDir?: string;
  /** Default 0: any free one. */
  readonly trackerPort?: number;
  readonly trackerSettings?: Partial<TrackerSettings>;
  readonly keeperSettings?: Partial<KeeperSettings>;
  /** Offers the faults `partition`, `slow` and `full` of each member. Everything then takes a detour. Default false. */
  readonly faults?: boolean;
  /** Default: silent. */
  readonly logger?: Logger;
}

/**
 * Starts a cluster in this process and resolves when every keeper has registered.
 *
 * @example
 * const cluster = await startCluster({ keepers: 3 });
 * const client = await cluster.connect();
 * await client.upload(Buffer.from('hello'), '/hello.txt');
 * await cluster.keepers[0]?.kill();
 * // … the file can still be read …
 * await cluster.stop();
 *
 * @throws HoldfastError what a server could not start for: ADDRESS_IN_USE, DATA_DIR_LOCKED, DATA_DIR_INVALID, …
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<Cluster> {
  const { logger = silentLogger } = options;
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'holdfast-')));
  const cleanUp = async (): Promise<void> => {
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
  };
  const startTracker = (directory: string, listen: string): Promise<MasterTracker> =>
    startMasterTracker({
      dataDir: directory,
      listen,
      logger: logger.child({ member: 'tracker' }),
      ...(options.trackerSettings && { settings: options.trackerSettings }),
    });
  const startKeeper = (
    directory: string,
    { zone, capacityBytes }: KeeperOptions,
    where: Pick<DataKeeperOptions, 'listen' | 'tracker' | 'advertise' | 'fileSystem'>,
  ): Promise<DataKeeper> =>
    startDataKeeper({
      dataDir: directory,
      ...where,
      logger: logger.child({ member: directory }),
      ...(zone !== undefined && { zone }),
      ...(capacityBytes !== undefined && { capacityBytes }),
      ...(options.keeperSettings && { settings: options.keeperSettings }),
    });
  const direct: Launchers = {
    tracker: (directory) => (listen) => startTracker(directory, listen),
    keeper: (directory, keeper, trackerAddress) => (listen) =>
      startKeeper(directory, keeper, { listen, tracker: trackerAddress() }),
  };
  const faulty: Launchers = {
    tracker: (directory) => (listen) => launchFaultyTracker(listen, (at) => startTracker(directory, at)),
    keeper: (directory, keeper, trackerAddress) => async (listen) => {
      const disk = fillable(nodeFileSystem);
      const running = await launchFaultyKeeper(listen, trackerAddress(), (where) =>
        startKeeper(directory, keeper, { ...where, fileSystem: disk.fileSystem }),
      );
      const { controls } = running;
      return {
        ...running,
        ...(controls && { controls: { ...controls, full: (isFull) => disk.setFull(isFull) } }),
      };
    },
  };
  const launchers = options.faults === true ? faulty : direct;
  const plan = {
    dataDir,
    trackerPort: options.trackerPort ?? 0,
    firstKeeperPort: 0,
    keepers: keeperList(options.keepers ?? 3),
  };
  return new Cluster(plan, launchers, cleanUp).start();
}

/** N keepers without particulars, or the list as it is. */
export function keeperList(keepers: number | readonly KeeperOptions[]): readonly KeeperOptions[] {
  return typeof keepers === 'number' ? Array.from({ length: keepers }, () => ({})) : keepers;
}
