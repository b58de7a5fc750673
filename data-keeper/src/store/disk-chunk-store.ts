/**
 * The chunk store over a file system: one file a piece, the directory itself as the index. Nothing about stored
 * pieces is in memory but their total size, so a keeper with a million of them starts and runs in as little as
 * one with ten.
 */
import { type Clock, type FileSystem, HoldfastError, type Random, errnoOf, hasCode } from '@holdfast/shared';
import { join } from 'node:path';
import { Ballast } from './ballast.js';
import { Census } from './census.js';
import type {
  Capacity,
  Census as Count,
  ChunkStore,
  ListedPiece,
  PieceWriter,
  ShardListing,
  StoredPieceReader,
} from './chunk-store.js';
import { layoutOf } from './chunk-file.js';
import { makeShards, names, shards } from './data-directory.js';
import { DirectorySync } from './directory-sync.js';
import { type StorageHealth, diskError } from './disk-error.js';
import { inParallel, parallelOperations } from './in-parallel.js';
import { PermissionTrial } from './permission-trial.js';
import { type PieceKey, type PieceSpec, type StoredPiece, parsePieceName, pieceName } from './piece.js';
import { noSuchPiece, openStoredPiece } from './piece-reader.js';
import { beginPiece } from './piece-writer.js';
import { RoomTrial } from './room-trial.js';
import { Space } from './space.js';
import { StoragePresence } from './storage-presence.js';
import { Trash } from './trash.js';

export interface DiskChunkStoreOptions {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly health: StorageHealth;
  /** Formatted. */
  readonly dataDir: string;
  /** The cluster that the storage belongs to now; '' before it has joined. */
  readonly clusterId: () => string;
  /** The most that pieces may use in all, in bytes; Infinity for all there is. */
  readonly capacityBytes: number;
  readonly trashTtlMs: number;
  readonly ballast?: Ballast;
}

export class DiskChunkStore implements ChunkStore {
  readonly #options: DiskChunkStoreOptions;
  readonly #directorySync: DirectorySync;
  readonly #space: Space;
  readonly #trash: Trash;
  readonly #presence: StoragePresence;
  readonly #ballast: Ballast;
  readonly #roomTrial: RoomTrial;
  readonly #permissionTrial: PermissionTrial;
  readonly #census = new Census();
  /** Names of the pieces that are being written. */
  readonly #writing = new Set<string>();
  /**
   * Names that are there but not yet on stable storage, or never will be after a failed sync. To everybody else
   * these pieces are not stored: what a receipt or a report says of them could be lost with the power.
   */
  readonly #arriving = new Set<string>();

  private constructor(options: DiskChunkStoreOptions, presence: StoragePresence) {
    const { fileSystem, dataDir, clock, capacityBytes, trashTtlMs } = options;
    this.#options = options;
    this.#presence = presence;
    this.#ballast = options.ballast ?? new Ballast(fileSystem, dataDir);
    this.#roomTrial = new RoomTrial(options);
    this.#permissionTrial = new PermissionTrial(options);
    this.#directorySync = new DirectorySync(fileSystem);
    this.#space = new Space(fileSystem, clock, dataDir, capacityBytes);
    this.#trash = new Trash(join(dataDir, names.trash), fileSystem, clock, this.#space, trashTtlMs);
  }

  /** Sweeps what an earlier start left half written, makes the names that it left durable, and counts them. */
  static async open(options: DiskChunkStoreOptions): Promise<DiskChunkStore> {
    const { fileSystem, dataDir, health } = options;
    try {
      const store = new DiskChunkStore(options, await StoragePresence.begin(fileSystem, dataDir));
      // What an earlier start had there and somebody took away: the full report will tell what went with it.
      await makeShards(fileSystem, dataDir);
      const tmp = join(dataDir, names.tmp);
      for (const name of await fileSystem.readDirectory(tmp)) {
        // A directory is nothing of ours and in nobody's way.
        if ((await fileSystem.stat(join(tmp, name)))?.isDirectory !== true)
          await fileSystem.unlink(join(tmp, name));
      }
      await store.#count();
      await store.#ballast.make();
      return store;
    } catch (error) {
      throw health.failed(error, 'cannot open the chunk store');
    }
  }

  async #count(): Promise<void> {
    const { fileSystem, dataDir } = this.#options;
    const sizes = async (
      directory: string,
      files: readonly string[],
      found: (name: string, bytes: number) => void,
    ): Promise<void> => {
      await inParallel(files, parallelOperations, async (name) => {
        found(name, (await fileSystem.stat(join(directory, name)))?.sizeBytes ?? 0);
      });
    };
    const count = (_name: string, bytes: number): void => this.#space.count(bytes);
    const quarantine = join(dataDir, names.quarantine);
    const trash = this.#trash.directory;
    // Before the shards, as in #syncMoves: an earlier start may have ended between a move and its sync.
    for (const directory of [quarantine, trash]) await fileSystem.syncDirectory(directory);
    await inParallel(shards, parallelOperations, async (shard) => {
      const directory = join(dataDir, names.chunks, shard);
      const files = await fileSystem.readDirectory(directory);
      // An earlier start may have ended between a rename and its sync; from here on the piece counts as stored.
      if (files.length > 0) await fileSystem.syncDirectory(directory);
      await sizes(directory, files, (name, bytes) => {
        count(name, bytes);
        const key = parsePieceName(name);
        if (key) this.#census.count(key.chunkId, 1, bytes);
      });
    });
    await sizes(quarantine, await fileSystem.readDirectory(quarantine), count);
    await sizes(trash, await fileSystem.readDirectory(trash), (name, bytes) => {
      this.#space.count(bytes);
      this.#trash.add(name, bytes);
    });
  }

  get failure(): HoldfastError | undefined {
    return this.#presence.missing ?? this.#options.health.failure;
  }

  get gone(): boolean {
    return this.#presence.missing !== undefined;
  }

  async begin(spec: PieceSpec): Promise<PieceWriter> {
    const { fileSystem, health, random, dataDir } = this.#options;
    health.check();
    health.checkRoom();
    const name = pieceName(spec);
    if (this.#writing.has(name)) {
      throw new HoldfastError('UNAVAILABLE', `piece ${name} is being written already`, {
        remedy: 'Wait for that write to end.',
        retryAfterMs: 1_000,
      });
    }
    this.#writing.add(name);
    let endReservation: ((stored: boolean) => void) | undefined;
    let hasEnded = false;
    const { fileBytes } = layoutOf(spec.lengthBytes, spec.blockSizeBytes);
    const ended = (stored: boolean): void => {
      // Once: the name may have a new writer by now.
      if (hasEnded) return;
      hasEnded = true;
      endReservation?.(stored);
      if (stored) this.#census.count(spec.chunkId, 1, fileBytes);
      this.#writing.delete(name);
    };
    try {
      endReservation = await this.#reserve(fileBytes);
      return await beginPiece(
        {
          fileSystem,
          health,
          directorySync: this.#directorySync,
          clusterId: this.#options.clusterId(),
          temporaryPath: join(dataDir, names.tmp, `${name}.${random.bytes(8).toString('hex')}`),
          finalPath: this.#pathOf(spec),
          finalDirectory: this.#shardOf(spec.chunkId),
          stored: () => this.#statIfThere(spec),
          arriving: (isArriving) => {
            if (isArriving) this.#arriving.add(name);
            else this.#arriving.delete(name);
          },
          ended,
        },
        spec,
      );
    } catch (error) {
      ended(false);
      throw error;
    }
  }

  async #reserve(fileBytes: number): Promise<(stored: boolean) => void> {
    try {
      await this.#trash.makeRoom(fileBytes);
      return await this.#space.reserve(fileBytes);
    } catch (error) {
      throw this.#options.health.failed(error, 'cannot reserve room');
    }
  }

  async open(key: PieceKey, from?: 'medium'): Promise<StoredPieceReader> {
    const { fileSystem, clusterId } = this.#options;
    if (this.#arriving.has(pieceName(key))) throw noSuchPiece(key);
    try {
      return await openStoredPiece(fileSystem, this.#pathOf(key), key, clusterId(), from ?? 'read');
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) await this.#assertThere();
      throw error;
    }
  }

  /** Before something that is missing counts for anything. */
  async #assertThere(): Promise<void> {
    await this.#presence.check().catch((error: unknown) => {
      throw diskError(error, 'cannot look at the data directory');
    });
  }

  async stat(key: PieceKey): Promise<StoredPiece | undefined> {
    try {
      const reader = await this.open(key);
      await reader.close();
      return reader.spec;
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** As stat, for a piece that is most likely not there: that costs one look at its name. */
  async #statIfThere(key: PieceKey): Promise<StoredPiece | undefined> {
    try {
      if (!(await this.#options.fileSystem.stat(this.#pathOf(key)))) return undefined;
    } catch (error) {
      throw diskError(error, `cannot look for piece ${pieceName(key)}`);
    }
    return this.stat(key);
  }

  async *list(): AsyncGenerator<PieceKey> {
    for (const shard of shards) {
      for (const name of (await this.#namesIn(shard)).sort()) {
        const key = parsePieceName(name);
        if (key) yield key;
      }
    }
  }

  async #namesIn(shard: string): Promise<string[]> {
    const { fileSystem, dataDir, health } = this.#options;
    const directory = join(dataDir, names.chunks, shard);
    try {
      return await fileSystem.readDirectory(directory);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw health.failed(error, `cannot list chunks/${shard}`);
    }
    await this.#assertThere();
    // The directory alone is gone, and what was in it: new pieces need one.
    try {
      await makeShards(fileSystem, dataDir);
      this.#directorySync.forget(directory);
      return await fileSystem.readDirectory(directory);
    } catch (error) {
      throw health.failed(error, `cannot make chunks/${shard} anew`);
    }
  }

  async listShard(shard: number): Promise<ShardListing> {
    const { fileSystem, dataDir } = this.#options;
    const name = shards[shard] ?? '';
    const before = this.#census.of(shard).pieces;
    const keys = (await this.#namesIn(name)).sort().flatMap((file) => parsePieceName(file) ?? []);
    const found = await inParallel(keys, parallelOperations, async (key): Promise<ListedPiece[]> => {
      try {
        const status = await fileSystem.stat(join(dataDir, names.chunks, name, pieceName(key)));
        return status ? [{ ...key, fileBytes: status.sizeBytes }] : [];
      } catch (error) {
        throw diskError(error, `cannot list chunks/${name}`);
      }
    });
    const pieces = found.flat();
    const bytes = pieces.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
    // What was moved away meanwhile is off the count or about to be, and nobody is wronged by one report too many.
    const vanished = Math.max(0, Math.min(before, this.#census.of(shard).pieces) - pieces.length);
    if (vanished > 0) await this.#assertThere();
    this.#census.correct(shard, { pieces: pieces.length, bytes });
    return { pieces, vanished };
  }

  census(fromShard: number): Count {
    return this.#census.from(fromShard);
  }

  async trash(chunkIds: readonly string[]): Promise<void> {
    this.#options.health.check();
    const wanted = new Set(chunkIds);
    const directories: string[] = [];
    for (const shard of new Set(chunkIds.map((id) => id.slice(0, 2)))) {
      const found = (await this.#namesIn(shard)).filter((name) => {
        const key = parsePieceName(name);
        return key !== undefined && wanted.has(key.chunkId);
      });
      const from = join(this.#options.dataDir, names.chunks, shard);
      const sizes = await inParallel(found, parallelOperations, (name) =>
        this.#move(from, this.#trash.directory, name),
      );
      found.forEach((name, index) => {
        const fileBytes = sizes[index];
        if (fileBytes === undefined) return;
        this.#trash.add(name, fileBytes);
        this.#census.count(name, -1, fileBytes);
      });
      directories.push(from);
    }
    await this.#syncMoves(directories, this.#trash.directory);
  }

  emptyTrash(): Promise<void> {
    return this.#trash.empty();
  }

  async quarantine(key: PieceKey): Promise<void> {
    const { dataDir, health } = this.#options;
    health.check();
    const [from, to] = [this.#shardOf(key.chunkId), join(dataDir, names.quarantine)];
    const name = pieceName(key);
    const fileBytes = await this.#move(from, to, name, await this.#freeName(to, name));
    if (fileBytes !== undefined) this.#census.count(key.chunkId, -1, fileBytes);
    await this.#syncMoves([from], to);
  }

  /** A name that no file has: two damaged copies of a piece may have different blocks that are good. */
  async #freeName(directory: string, name: string): Promise<string> {
    const { fileSystem, health } = this.#options;
    try {
      for (let n = 0; ; n += 1) {
        const candidate = n === 0 ? name : `${name}.${n}`;
        if (!(await fileSystem.stat(join(directory, candidate)))) return candidate;
      }
    } catch (error) {
      throw health.failed(error, `cannot set piece ${name} aside`);
    }
  }

  /** Moves a file and gives its size; undefined if it is not there (any more). */
  async #move(from: string, to: string, name: string, newName = name): Promise<number | undefined> {
    const { fileSystem, health } = this.#options;
    try {
      const status = await fileSystem.stat(join(from, name));
      await this.#ballast.spend(() => fileSystem.rename(join(from, name), join(to, newName)));
      return status?.sizeBytes ?? 0;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw health.failed(error, `cannot move piece ${name}`);
    }
  }

  /** The new names first: a crash between the two leaves the pieces findable. One sync of `to` is enough for all. */
  async #syncMoves(from: readonly string[], to: string): Promise<void> {
    try {
      await this.#directorySync.sync(to);
      await inParallel(from, parallelOperations, (directory) => this.#directorySync.sync(directory));
    } catch (error) {
      throw this.#options.health.syncFailed(error, 'cannot make a move durable');
    }
  }

  async capacity(): Promise<Capacity> {
    await this.#assertThere();
    try {
      await this.#permissionTrial.make();
      await this.#makeRoom();
      await this.#ballast.make();
      // The trash gives way to new pieces, so its room is free: a keeper that told itself full because of its trash
      // would get no piece that makes it give way.
      const trashBytes = this.#trash.bytes;
      const capacity = await this.#space.capacity(trashBytes);
      return { ...capacity, ...(this.#options.health.isFull && { freeBytes: 0 }), trashBytes };
    } catch (error) {
      throw this.#options.health.failed(error, 'cannot see how much room there is');
    }
  }

  /** Where the file system takes nothing: no piece comes that the trash would give way to, so it does by itself. */
  async #makeRoom(): Promise<void> {
    await this.#roomTrial.make();
    if (this.#options.health.isFull) await this.#trash.empty(0);
  }

  close(): void {
    this.#directorySync.close();
  }

  #shardOf(chunkId: string): string {
    return join(this.#options.dataDir, names.chunks, chunkId.slice(0, 2));
  }

  #pathOf(key: PieceKey): string {
    return join(this.#shardOf(key.chunkId), pieceName(key));
  }
}
