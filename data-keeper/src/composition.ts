/**
 * The composition root: the one place that knows every part of a keeper and how they fit, and the order in which
 * it starts (storage, port, registration) and stops.
 */
import {
  ByteBudget,
  type Clock,
  type FileSystem,
  HoldfastError,
  type KeeperEndpoint,
  type Logger,
  type Random,
  type Receipt,
  Worker,
  errnoOf,
  fromErrno,
  limits,
  makeDataDirectory,
  signReceipt,
  silentLogger,
} from '@holdfast/shared';
import {
  HealthService,
  type Transport,
  type TransportServer,
  addReflection,
  checkAddress,
  checkZone,
  grpcTransport,
} from '@holdfast/shared/grpc';
import { nodeFileSystem, systemClock, systemRandom } from '@holdfast/shared/node';
import { type DataDirLock, acquireDataDirLock } from '@holdfast/shared/program';
import { service as healthDefinition } from 'grpc-health-check';
import { type CuttableFileSystem, cuttable } from './cuttable-file-system.js';
import { chunkService, chunkServiceDefinition } from './grpc/chunk-service.js';
import { GrpcPeerKeepers } from './grpc/grpc-peer-keepers.js';
import { GrpcTrackerLink } from './grpc/grpc-tracker-link.js';
import { replicaService, replicaServiceDefinition } from './grpc/replica-service.js';
import { ChunkReader } from './read/chunk-reader.js';
import { PumpMemory } from './read/pump.js';
import { ReplicaSource } from './replication/replica-source.js';
import { BadPieceLog } from './scrub/bad-piece-log.js';
import { PieceVerifier } from './scrub/piece-verifier.js';
import { Scrubber } from './scrub/scrubber.js';
import { type KeeperSettings, completeSettings } from './settings.js';
import { Ballast } from './store/ballast.js';
import { inspect } from './store/data-directory.js';
import { DiskChunkStore } from './store/disk-chunk-store.js';
import { StorageHealth } from './store/disk-error.js';
import type { StoredPiece } from './store/piece.js';
import { StorageIdentity } from './store/storage-identity.js';
import { perform } from './tasks/perform.js';
import { TaskRunner } from './tasks/task-runner.js';
import { AuthorityWatch } from './tracker/authority-watch.js';
import { Lease } from './tracker/lease.js';
import { StoredLog } from './tracker/stored-log.js';
import { TokenGate } from './tracker/token-gate.js';
import { TrackerSession } from './tracker/tracker-session.js';
import { softwareVersion } from './version.js';
import { ChunkWriter } from './write/chunk-writer.js';
import { LivePieces } from './write/live-piece.js';
import { Slots } from './write/slots.js';

export interface DataKeeperOptions {
  /** Where pieces are kept: an empty directory (or none) becomes a new keeper's. */
  readonly dataDir: string;
  /** HOST:PORT to listen on; port 0 takes any free one. */
  readonly listen: string;
  /** HOST:PORT that clients and peers are told; by default the one it listens on. */
  readonly advertise?: string;
  /** HOST:PORT of the tracker. */
  readonly tracker: string;
  /** The failure domain; none by default. Where it follows from who the keeper is, a function of its id. */
  readonly zone?: string | ((keeperId: string) => string);
  /** The most that pieces may use in all, in bytes; by default what the file system has beyond its reserve. */
  readonly capacityBytes?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly fileSystem?: FileSystem;
  readonly transport?: Transport;
  readonly settings?: Partial<KeeperSettings>;
  /** Gives up the start. */
  readonly signal?: AbortSignal;
}

export interface DataKeeper {
  /** HOST:PORT, as advertised. */
  readonly address: string;
  /** HOST:PORT that it listens on. */
  readonly boundAddress: string;
  readonly keeperId: string;
  readonly storageId: string;
  readonly dataDir: string;
  readonly zone: string;
  /** Lets calls end, then says goodbye to the tracker, so that nobody copies this keeper's pieces meanwhile. */
  stop(): Promise<void>;
  /** As near to SIGKILL as one process allows: no goodbye, connections cut, nothing flushed, nothing removed. */
  kill(): Promise<void>;
}

const services = ['holdfast.keeper.v1.ChunkService', 'holdfast.keeper.v1.ReplicaService'];
/** Whose health is told (grpc.health.v1); '' is the server as a whole. */
const healthNames = ['', ...services];

/**
 * Starts a keeper. Resolves when its storage is open, it listens, and the tracker knows it.
 *
 * @throws HoldfastError INVALID_ARGUMENT; DATA_DIR_LOCKED, DATA_DIR_INVALID, WRONG_CLUSTER (no piece was touched);
 *   DISK_FAILED; ADDRESS_IN_USE; UNAVAILABLE if the tracker did not answer within settings.registerTimeoutMs;
 *   CANCELLED; what the operating system refuses in the directory as of its errno (see fromErrno), such as
 *   NOT_A_DIRECTORY, PERMISSION_DENIED and OUT_OF_SPACE
 */
export async function startDataKeeper(options: DataKeeperOptions): Promise<DataKeeper> {
  let lock: DataDirLock | undefined;
  try {
    lock = await prepareDataDir(options);
    const keeper = await startUnlocked(options);
    return {
      ...keeper,
      stop: () => keeper.stop().finally(() => lock?.release()),
      kill: () => keeper.kill().finally(() => lock?.release()),
    };
  } catch (error) {
    await lock?.release();
    // An error without an errno that is none of ours is a defect, and stays one.
    if (errnoOf(error) === undefined) throw error;
    throw fromErrno(error, `cannot start the keeper of ${options.dataDir}`, 'DISK_FAILED');
  }
}

/** Makes the directory, and locks it. Only one that is ours or empty, so that no other is touched. */
async function prepareDataDir({ dataDir, fileSystem }: DataKeeperOptions): Promise<DataDirLock | undefined> {
  await inspect(fileSystem ?? nodeFileSystem, dataDir);
  await makeDataDirectory(fileSystem ?? nodeFileSystem, dataDir);
  // Another file system has no processes that could be at it, too.
  return fileSystem ? undefined : acquireDataDirLock(dataDir);
}

async function startUnlocked(options: DataKeeperOptions): Promise<DataKeeper> {
  const settings = completeSettings(options.settings);
  const { clock = systemClock, random = systemRandom, logger = silentLogger, dataDir } = options;
  const { zone: zoneWish = '', transport = grpcTransport } = options;
  if (typeof zoneWish === 'string') checkZone(zoneWish);
  checkAddress(options.tracker);
  const disk = cuttable(options.fileSystem ?? nodeFileSystem);
  const { fileSystem } = disk;
  const health = new StorageHealth();
  const ballast = new Ballast(fileSystem, dataDir);
  const identity = await StorageIdentity.open(fileSystem, dataDir, random, health, ballast);
  const zone = checkZone(typeof zoneWish === 'string' ? zoneWish : zoneWish(identity.keeperId));
  const store = await DiskChunkStore.open({
    ...{ fileSystem, clock, random, health, ballast, dataDir },
    clusterId: () => identity.clusterId,
    capacityBytes: options.capacityBytes ?? Infinity,
    trashTtlMs: settings.trashTtlMs,
  });

  const authority = new AuthorityWatch(identity, clock, logger, settings.witnessIntervalMs);
  const lease = new Lease(clock);
  const storedLog = new StoredLog();
  const badPieces = new BadPieceLog();
  const verifier = new PieceVerifier({ store, badPieces, logger });
  const live = new LivePieces();
  const writes = new Slots('writes', settings.maxWrites);
  const openWrites = new Slots('writes that are not durable yet', settings.maxOpenWrites);
  const reads = new Slots('reads', settings.maxReads);
  const replicas = new Slots('replica streams', settings.maxReplicaStreams);
  const copiesHere = new Slots('copies', settings.copySlots);
  const copiesElsewhere = new Slots('streams of copies', settings.maxCopyStreams);
  const peers = new GrpcPeerKeepers(identity.keeperId, transport);
  const link = new GrpcTrackerLink(options.tracker, softwareVersion, transport);
  const tokens = new TokenGate(authority, () => session().keys.tokenKey, settings.tokenLifetimeMs);
  const receiptFor = (piece: StoredPiece): Receipt => {
    const { chunkId, pieceIndex, lengthBytes, digest } = piece;
    const { keeperId, storageId, incarnation } = identity;
    return signReceipt(
      { chunkId, pieceIndex, keeperId, storageId, incarnation, lengthBytes, digest },
      session().keys.receiptKey,
    );
  };
  // These are known once the port is.
  let boundAddress: string;
  let address: string | undefined;
  let started: TrackerSession | undefined;
  const session = (): TrackerSession => {
    if (started) return started;
    throw new HoldfastError('UNAVAILABLE', 'this keeper is starting', { retryAfterMs: 500 });
  };
  const self = (): KeeperEndpoint => ({ keeperId: identity.keeperId, address: address ?? '', zone });
  const common = { store, live, tokens, clock, logger, settings };
  const writer = new ChunkWriter({
    ...{
      ...common,
      slots: writes,
      openSlots: openWrites,
      copySlots: copiesHere,
      peers,
      lease,
      self,
      receiptFor,
    },
    liveMemory: new ByteBudget(settings.liveMemoryBytes),
    onStored: (piece) => {
      badPieces.forget(piece);
      storedLog.add(piece);
    },
  });
  const pumpMemory = new PumpMemory(settings.pumpMemoryBytes);
  const reader = new ChunkReader({ ...common, pumpMemory, slots: reads });
  const source = new ReplicaSource({ ...common, pumpMemory, slots: replicas, copySlots: copiesElsewhere });
  const clientStreams = (): number => openWrites.taken + reads.taken + replicas.taken;
  const scrubber = await Scrubber.open({
    ...{ store, verifier, badPieces, fileSystem, health, ballast, dataDir, clock, logger },
    activeStreams: () => clientStreams() + copiesHere.taken + copiesElsewhere.taken,
    pace: {
      periodMs: settings.scrubPeriodMs,
      share: settings.scrubShare,
      shareBesideClients: settings.scrubShareBesideClients,
    },
    saveIntervalMs: settings.scrubSaveIntervalMs,
    onVanished: () => session().reportAnew(),
  });
  const tasks = new TaskRunner({
    ...{ link, authority, clock, random, logger },
    start: { keeperId: identity.keeperId, storageId: identity.storageId, incarnation: identity.incarnation },
    slots: { copies: settings.copySlots, others: settings.taskSlots },
    maxWaiting: settings.maxWaitingTasks,
    deadlineMs: settings.controlDeadlineMs,
    perform: (task, signal) =>
      perform(
        {
          ...{ store, writer, peers, verifier, scrubber, clock, settings, receiptFor },
          onTrashed: (chunkIds) => storedLog.forget(chunkIds),
        },
        task,
        signal,
      ),
  });

  const server = transport.createServer({ maxMessageBytes: limits.maxDataMessageBytes, logger });
  server.addService(chunkServiceDefinition, chunkService({ writer, reader, clock, logger, settings }));
  server.addService(replicaServiceDefinition, replicaService({ writer, source, peers, logger, settings }));
  const healthService = new HealthService();
  healthService.addTo(server, healthDefinition);
  addReflection(server, [...services, 'grpc.health.v1.Health']);
  const trashWorker = new Worker({
    name: 'trash',
    clock,
    logger,
    step: async () => {
      await store.emptyTrash();
      return { nextInMs: settings.trashIntervalMs };
    },
  });

  const closeAll = (): void => {
    peers.close();
    link.close();
    store.close();
  };
  try {
    boundAddress = await server.listen(options.listen);
    address = advertisedAddress(boundAddress, options.advertise);
    started = new TrackerSession({
      ...{ link, identity, authority, lease, store, storedLog, tasks, clock, random, logger, settings },
      ...{ address, zone },
      ...{ activeStreams: clientStreams, badPieces, verifier },
      scrubProgress: () => scrubber.progress,
    });
    await started.start(options.signal ?? new AbortController().signal);
  } catch (error) {
    server.forceShutdown();
    closeAll();
    throw error;
  }
  trashWorker.start();
  scrubber.start();
  setHealth(healthService, 'SERVING');
  logger.info('the keeper is ready', { keeperId: identity.keeperId, address, dataDir });
  const running = {
    server,
    session: started,
    tasks,
    trashWorker,
    scrubber,
    clock,
    healthService,
    closeAll,
    disk,
    settings,
  };
  return {
    ...{ address, boundAddress, keeperId: identity.keeperId, storageId: identity.storageId, dataDir, zone },
    ...lifeOf(running),
  };
}

function setHealth(health: HealthService, status: 'SERVING' | 'NOT_SERVING'): void {
  for (const name of healthNames) health.set(name, status);
}

function advertisedAddress(bound: string, advertise: string | undefined): string {
  const address = checkAddress(advertise ?? bound);
  if (/^(0\.0\.0\.0|\[::\]):/.test(address)) {
    throw new HoldfastError('INVALID_ARGUMENT', `${address} is no address that others can reach`, {
      remedy: 'Say with --advertise HOST:PORT how clients and other keepers reach this one.',
    });
  }
  return address;
}

interface Running {
  readonly server: TransportServer;
  readonly session: TrackerSession;
  readonly tasks: TaskRunner;
  readonly trashWorker: Worker;
  readonly scrubber: Scrubber;
  readonly clock: Clock;
  readonly healthService: HealthService;
  readonly closeAll: () => void;
  readonly disk: CuttableFileSystem;
  readonly settings: KeeperSettings;
}

/** The two ways to end; whichever comes first counts, but a stop that hangs may be killed. */
function lifeOf(running: Running): Pick<DataKeeper, 'stop' | 'kill'> {
  const { server, session, tasks, trashWorker, scrubber, clock, healthService, closeAll, disk, settings } =
    running;
  let stopping: Promise<void> | undefined;
  let killed: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    setHealth(healthService, 'NOT_SERVING');
    // It ends within a read; one that hangs in its disk is not waited for, as the goodbye matters more.
    const scrubbed = Promise.race([scrubber.stop(true), clock.sleep(settings.stopGraceMs, { unref: true })]);
    await server.shutDown(settings.stopGraceMs);
    await Promise.all([tasks.stop(), trashWorker.stop(), scrubbed]);
    await session.stop(true).finally(closeAll);
  };
  const kill = async (): Promise<void> => {
    // Before the disk is gone: what it cannot read then is no fault of the pieces.
    const scrubbed = scrubber.stop(false);
    disk.cut();
    server.cutOff();
    closeAll();
    await Promise.allSettled([tasks.stop(), trashWorker.stop(), scrubbed, session.stop(false)]);
  };
  return {
    stop: () => (stopping ??= killed ?? stop()),
    kill: () => (killed ??= kill()),
  };
}
