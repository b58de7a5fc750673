/**
 * Who a storage is and what it has seen: IDENTITY (which cluster, keeper and storage; written at formatting and
 * once more when it joins its cluster) and STATE (the number of its start and the highest authority that it has
 * witnessed; replaced now and then). Both are on stable storage before anything relies on them.
 *
 * The failures it answers: a keeper pointed at another cluster or at a directory that is not its own destroys
 * nothing (DATA_DIR_INVALID, WRONG_CLUSTER); a tracker restored from an old backup is found out, because its
 * keepers remember (S8, S9).
 */
import { type Authority, type FileSystem, HoldfastError, type Random, isId, newId } from '@holdfast/shared';
import { join } from 'node:path';
import { Ballast } from './ballast.js';
import { format, inspect, invalidDirectory, names, removeMarker, replaceFile } from './data-directory.js';
import type { StorageHealth } from './disk-error.js';
import { decodeRecord, encodeRecord } from './record.js';

/** On disk: a new meaning is a new number. */
const formatVersion = 1;
/**
 * A start's number is this much higher than the last one's at most, by chance: two copies of one directory that are
 * both started are told apart by it. Leaves numbers for eight thousand million starts.
 */
const maxStep = 2 ** 20;

interface IdentityRecord {
  readonly formatVersion: number;
  /** '' until the first registration. */
  readonly clusterId: string;
  readonly keeperId: string;
  readonly storageId: string;
}

interface StateRecord {
  readonly incarnation: number;
  readonly witnessed: Authority | null;
}

async function readRecord(
  fileSystem: FileSystem,
  dataDir: string,
  name: string,
): Promise<Record<string, unknown>> {
  const refuse = (why: string, cause?: unknown): HoldfastError =>
    invalidDirectory(dataDir, `its ${name} ${why}`, cause);
  let bytes: Buffer;
  try {
    bytes = await fileSystem.readFile(join(dataDir, name));
  } catch (error) {
    throw refuse('cannot be read', error);
  }
  const record = decodeRecord(bytes);
  if (!record) throw refuse('is damaged: it does not match its checksum');
  return record;
}

function asIdentity(dataDir: string, record: Record<string, unknown>): IdentityRecord {
  const { formatVersion: version, clusterId, keeperId, storageId } = record;
  if (version !== formatVersion) {
    throw invalidDirectory(
      dataDir,
      `it has format ${String(version)}, and this program knows ${formatVersion}`,
    );
  }
  const wellFormed =
    typeof clusterId === 'string' &&
    (clusterId === '' || isId(clusterId)) &&
    typeof keeperId === 'string' &&
    isId(keeperId) &&
    typeof storageId === 'string' &&
    isId(storageId);
  if (!wellFormed) throw invalidDirectory(dataDir, 'its IDENTITY is damaged');
  return { formatVersion, clusterId, keeperId, storageId };
}

function asState(dataDir: string, record: Record<string, unknown>): StateRecord {
  const { incarnation, witnessed } = record as unknown as StateRecord;
  const wellFormed =
    Number.isSafeInteger(incarnation) &&
    (witnessed === null ||
      (typeof witnessed === 'object' &&
        isId(witnessed.clusterId) &&
        isId(witnessed.instanceId) &&
        Number.isSafeInteger(witnessed.epoch) &&
        Number.isSafeInteger(witnessed.transactionId)));
  if (!wellFormed) throw invalidDirectory(dataDir, 'its STATE is damaged');
  return { incarnation, witnessed };
}

export class StorageIdentity {
  readonly #fileSystem: FileSystem;
  readonly #dataDir: string;
  readonly #health: StorageHealth;
  readonly #ballast: Ballast;
  #identity: IdentityRecord;
  #state: StateRecord;
  /** One replacement of a file at a time: they share the temp name. */
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(
    fileSystem: FileSystem,
    dataDir: string,
    health: StorageHealth,
    ballast: Ballast,
    identity: IdentityRecord,
    state: StateRecord,
  ) {
    this.#fileSystem = fileSystem;
    this.#dataDir = dataDir;
    this.#health = health;
    this.#ballast = ballast;
    this.#identity = identity;
    this.#state = state;
  }

  /**
   * Opens the data directory, which makeDataDirectory has made, formatting an empty one, and begins a new incarnation.
   *
   * @throws HoldfastError DATA_DIR_INVALID, and then nothing was touched; DISK_FAILED
   */
  static async open(
    fileSystem: FileSystem,
    dataDir: string,
    random: Random,
    health: StorageHealth,
    ballast = new Ballast(fileSystem, dataDir),
  ): Promise<StorageIdentity> {
    if ((await inspect(fileSystem, dataDir)) === 'unformatted') {
      const identity = { formatVersion, clusterId: '', keeperId: newId(random), storageId: newId(random) };
      await format(fileSystem, dataDir, async () => {
        await replaceFile(
          fileSystem,
          health,
          dataDir,
          names.state,
          encodeRecord({ incarnation: 0, witnessed: null }),
        );
        await replaceFile(fileSystem, health, dataDir, names.identity, encodeRecord(identity));
      });
    }
    const identity = asIdentity(dataDir, await readRecord(fileSystem, dataDir, names.identity));
    const state = asState(dataDir, await readRecord(fileSystem, dataDir, names.state));
    const opened = new StorageIdentity(fileSystem, dataDir, health, ballast, identity, state);
    const step = 1 + Math.floor(random.fraction() * maxStep);
    await opened.#saveState({ ...state, incarnation: state.incarnation + step });
    // With that the directory is synced: an earlier start may have ended before it could sync the name of IDENTITY.
    await removeMarker(fileSystem, dataDir);
    return opened;
  }

  /** '' before the storage has joined a cluster. */
  get clusterId(): string {
    return this.#identity.clusterId;
  }

  get keeperId(): string {
    return this.#identity.keeperId;
  }

  get storageId(): string {
    return this.#identity.storageId;
  }

  get incarnation(): number {
    return this.#state.incarnation;
  }

  /** The highest authority on stable storage. */
  get witnessed(): Authority | undefined {
    return this.#state.witnessed ?? undefined;
  }

  /** Makes the storage the cluster's, durably. It never changes again. */
  async join(clusterId: string): Promise<void> {
    if (this.#identity.clusterId !== '') throw new HoldfastError('INTERNAL', 'the storage has a cluster');
    const identity = { ...this.#identity, clusterId };
    await this.#save(names.identity, identity);
    this.#identity = identity;
  }

  /** Puts an authority on stable storage. */
  async witness({ clusterId, epoch, instanceId, transactionId }: Authority): Promise<void> {
    await this.#saveState({
      ...this.#state,
      witnessed: { clusterId, epoch, instanceId, transactionId },
    });
  }

  async #saveState(state: StateRecord): Promise<void> {
    await this.#save(names.state, state);
    this.#state = state;
  }

  #save(name: string, record: object): Promise<void> {
    const saved = this.#writing
      .catch(() => undefined)
      .then(() =>
        this.#ballast.spend(() =>
          replaceFile(this.#fileSystem, this.#health, this.#dataDir, name, encodeRecord(record)),
        ),
      )
      .catch((error: unknown) => {
        throw this.#health.failed(error, `cannot write ${name}`);
      });
    this.#writing = saved;
    return saved;
  }
}
