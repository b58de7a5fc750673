/**
 * A machine with several disks: a keeper for each, in one process, on consecutive ports (docs/decisions/0010).
 *
 * The failures it answers: a disk that fails takes itself out and nothing else, as each keeper has its own storage,
 * registration, lease and health; one that is not mounted is not taken for a new and empty one, which would fill the
 * disk that the mount point is on; and the copies of a chunk do not all lie in one machine, as its keepers share a
 * zone.
 */
import { HoldfastError, hasCode, silentLogger } from '@holdfast/shared';
import { checkAddress } from '@holdfast/shared/grpc';
import { nodeFileSystem } from '@holdfast/shared/node';
import { resolve } from 'node:path';
import { type DataKeeper, type DataKeeperOptions, startDataKeeper } from './composition.js';
import { inspect } from './store/data-directory.js';

export interface DataKeepersOptions extends Omit<DataKeeperOptions, 'dataDir' | 'zone' | 'fileSystem'> {
  /** One for each keeper. `listen` and `advertise` are the first one's; the n-th has the n-th port from there. */
  readonly dataDirs: readonly string[];
  /** The failure domain; by default, where there are several, one that the keepers of this process share. */
  readonly zone?: string;
  /** Makes new keepers of empty directories although others are in use already. */
  readonly addEmpty?: boolean;
}

export interface KeeperNotStarted {
  readonly dataDir: string;
  readonly error: HoldfastError;
}

export interface DataKeepers {
  /** Those that run, in the order of their directories; at least one. */
  readonly keepers: readonly DataKeeper[];
  readonly notStarted: readonly KeeperNotStarted[];
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** What is wrong with one directory and says nothing of the others. */
const ofOneDirectory = [
  ...(['DATA_DIR_INVALID', 'DATA_DIR_LOCKED', 'DISK_FAILED', 'PERMISSION_DENIED', 'OUT_OF_SPACE'] as const),
  ...(['NOT_FOUND', 'NOT_A_DIRECTORY', 'WRONG_CLUSTER', 'STALE_EPOCH'] as const),
];

/**
 * Starts a keeper for each directory. A directory that cannot be used is logged, and the others start without it.
 *
 * @throws HoldfastError the first directory's error if none can be used; whatever is not about one directory, as
 *   startDataKeeper does, and then none runs
 */
export async function startDataKeepers(options: DataKeepersOptions): Promise<DataKeepers> {
  const { dataDirs, addEmpty = false, zone, listen, advertise, logger = silentLogger, ...rest } = options;
  checkDistinct(dataDirs);
  const several = dataDirs.length > 1;
  const usable = await lookAt(dataDirs, addEmpty);
  const keepers: (DataKeeper | undefined)[] = dataDirs.map(() => undefined);
  const notStarted: (KeeperNotStarted | undefined)[] = dataDirs.map(() => undefined);
  let shared = zone;

  const start = async (index: number): Promise<void> => {
    const dataDir = dataDirs[index] ?? '';
    try {
      const error = usable[index];
      if (error) throw error;
      const keeper = await startDataKeeper({
        ...{ ...rest, dataDir, logger: several ? logger.child({ dataDir }) : logger },
        listen: portFrom(listen, index),
        ...(advertise !== undefined && { advertise: portFrom(advertise, index) }),
        ...((several || zone !== undefined) && { zone: shared ?? zoneOfMachine }),
      });
      keepers[index] = keeper;
      shared ??= keeper.zone;
    } catch (error) {
      if (!several || !hasCode(error, ...ofOneDirectory)) throw error;
      logger.error(`no keeper for ${dataDir}: ${error.message}`, { remedy: error.remedy });
      notStarted[index] = { dataDir, error };
    }
  };
  try {
    // Until one has started: its id names the zone of all.
    let next = 0;
    while (next < dataDirs.length && !keepers.some(Boolean)) await start(next++);
    const others = dataDirs.map((_, index) => index).slice(next);
    const outcomes = await Promise.allSettled(others.map(start));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  } catch (error) {
    await endAll(keepers, (keeper) => keeper.stop());
    throw error;
  }
  const running = keepers.filter((keeper) => keeper !== undefined);
  const failed = notStarted.filter((outcome) => outcome !== undefined);
  if (running.length === 0 && failed[0]) throw failed[0].error;
  return {
    keepers: running,
    notStarted: failed,
    stop: () => endAll(running, (keeper) => keeper.stop()),
    kill: () => endAll(running, (keeper) => keeper.kill()),
  };
}

/**
 * The zone of the keepers of one machine. By the first one that starts, so that it is the same after a restart as long
 * as that disk is; when it is not, those that are left share another one, which serves as well. Should two machines
 * ever have the same eight digits, they count as one: no copy is lost for that.
 */
function zoneOfMachine(keeperId: string): string {
  return `machine-${keeperId.slice(0, 8)}`;
}

/** All are given their end; the first failure is told then. */
async function endAll(
  keepers: readonly (DataKeeper | undefined)[],
  end: (keeper: DataKeeper) => Promise<void>,
): Promise<void> {
  const outcomes = await Promise.allSettled(keepers.map(async (keeper) => keeper && end(keeper)));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function checkDistinct(dataDirs: readonly string[]): void {
  if (dataDirs.length === 0) throw new HoldfastError('INVALID_ARGUMENT', 'no data directory is named');
  const paths = dataDirs.map((dataDir) => resolve(dataDir));
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined) throw new HoldfastError('INVALID_ARGUMENT', `--data-dir ${twice} is named twice`);
}

/** Which directories must not be touched, and why. */
async function lookAt(
  dataDirs: readonly string[],
  addEmpty: boolean,
): Promise<readonly (HoldfastError | undefined)[]> {
  const found = await Promise.all(
    dataDirs.map((dataDir) =>
      inspect(nodeFileSystem, dataDir).catch(() => {
        // Its start will say what is wrong with it.
        return 'unusable' as const;
      }),
    ),
  );
  const isInUse = found.includes('formatted') || found.includes('unusable');
  return found.map((state, index) => {
    if (state !== 'unformatted' || !isInUse || addEmpty || dataDirs.length === 1) return undefined;
    return new HoldfastError(
      'DATA_DIR_INVALID',
      `${dataDirs[index]} is empty, and other directories of this machine are in use: is its disk mounted?`,
      { remedy: 'Mount its disk. If it is a new disk, start once with --add-empty.' },
    );
  });
}

/** HOST:PORT with the n-th port from there; any free one stays any free one. */
function portFrom(address: string, index: number): string {
  const at = address.lastIndexOf(':');
  const port = Number(address.slice(at + 1));
  if (port === 0 || index === 0) return address;
  return checkAddress(`${address.slice(0, at)}:${port + index}`);
}
