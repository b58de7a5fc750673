/**
 * The composition root: the only place that knows the machine, and builds a running tracker out of its parts.
 *
 * Order matters at the start: the directory is locked, the metadata made durable, opened and brought up to date, the new epoch
 * is on stable storage, and only then does anybody get an answer.
 */
import {
  type Clock,
  type HoldfastError,
  type Logger,
  type Random,
  errnoOf,
  fromErrno,
  makeDataDirectory,
  silentLogger,
} from '@holdfast/shared';
import { nodeFileSystem, systemClock, systemRandom } from '@holdfast/shared/node';
import { acquireDataDirLock } from '@holdfast/shared/program';
import { open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { buildCore } from './core.js';
import { createTrackerServer } from './grpc/server.js';
import { type TrackerSettings, defaultSettings } from './settings.js';
import { stopInOrder } from './stop.js';
import { takeOverLog } from './store/sqlite/left-log.js';
import { openSqliteStore } from './store/sqlite/sqlite-store.js';

export interface MasterTrackerOptions {
  /** Made if it is not there. One process at a time uses it. */
  readonly dataDir: string;
  /** HOST:PORT; port 0 takes any free one. */
  readonly listen: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** What differs from defaultSettings. */
  readonly settings?: Partial<TrackerSettings>;
  /** Told once if the metadata store fails for good: nothing works from then on, and the process should end. */
  readonly onFatal?: (error: HoldfastError) => void;
}

export interface MasterTracker {
  /** HOST:PORT that it really listens on. */
  readonly address: string;
  readonly clusterId: string;
  readonly epoch: number;
  /** Lets running calls end, then closes the metadata. */
  stop(): Promise<void>;
  /** Drops connections and the metadata without any goodbye: as near to SIGKILL as one process allows. */
  kill(): Promise<void>;
}

/** Where a file is, or is to be: SQLite has the log beside the file itself, and not beside a link to it. */
async function behindLinks(path: string): Promise<string> {
  return realpath(path).catch((error: unknown) => {
    // There is none yet, or a link that leads nowhere, of which SQLite makes what it can.
    if (['ENOENT', 'ELOOP'].includes(errnoOf(error) ?? '')) return path;
    throw fromErrno(error, `cannot look at ${path}`, 'DISK_FAILED');
  });
}

/** @throws HoldfastError DATA_DIR_LOCKED, DATA_DIR_INVALID, DISK_FAILED, ADDRESS_IN_USE, INVALID_ARGUMENT, INTERNAL */
export async function startMasterTracker(options: MasterTrackerOptions): Promise<MasterTracker> {
  const { dataDir, logger = silentLogger, clock = systemClock, random = systemRandom, onFatal } = options;
  const settings: TrackerSettings = { ...defaultSettings, ...options.settings };
  // What was built so far, to be undone from its end.
  const undo: (() => Promise<void>)[] = [];
  const unwind = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    await makeDataDirectory(nodeFileSystem, dataDir);
    const lock = await acquireDataDirLock(dataDir);
    undo.push(() => lock.release());
    const path = await behindLinks(join(dataDir, 'metadata.sqlite'));
    await takeOverLog({ ...nodeFileSystem, openToCut: (file) => open(file, 'r+') }, path).catch(
      (error: unknown) => {
        throw fromErrno(error, `cannot take over the log beside ${path}`, 'DISK_FAILED');
      },
    );
    const store = await openSqliteStore({
      path,
      clock,
      onFatal: (error) => {
        logger.error('the metadata store failed; the tracker must end', { error, cause: error.cause });
        onFatal?.(error);
      },
    });
    undo.push(() => store.close());
    const core = await buildCore({ store, clock, random, logger, settings });
    const wire = createTrackerServer({ ...core, store, settings, logger });
    const { server } = wire;
    const address = await server.listen(options.listen);
    core.workers.start();
    wire.setServing(true);
    const { clusterId, epoch } = core.identity;
    logger.info('the tracker serves', { address, clusterId, epoch, transactionId: store.transactionId });
    let ended: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await stopInOrder(core, wire);
      await unwind();
    };
    const kill = async (): Promise<void> => {
      server.forceShutdown();
      store.abandon();
      await core.workers.stop();
      await unwind();
    };
    return { address, clusterId, epoch, stop: () => (ended ??= stop()), kill: () => (ended ??= kill()) };
  } catch (error) {
    await unwind();
    throw error;
  }
}
