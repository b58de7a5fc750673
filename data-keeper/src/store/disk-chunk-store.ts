/**
 * The chunk store over a file system: one file a piece, the directory itself as the index. Nothing about stored
 * pieces is in memory but their total size, so a keeper with a million of them starts and runs in as little as
 * one with ten.
 */
import { type Clock, type FileSystem, HoldfastError, type Random, errnoOf, hasCode } from '@holdfast/shared';
import { join } from 'node:path';
import type { Capacity, ChunkStore, PieceWriter, StoredPieceReader } from './chunk-store.js';
import { layoutOf } from './chunk-file.js';
import { names, shards } from './data-directory.js';
import { DirectorySync } from './directory-sync.js';
import { type StorageHealth, diskError } from './disk-error.js';
import { inParallel, parallelOperations } from './in-parallel.js';
import { type PieceKey, type PieceSpec, type StoredPiece, parsePieceName, pieceName } from './piece.js';
import { noSuchPiece, openStoredPiece } from './piece-reader.js';
import { beginPiece } from './piece-writer.js';
import { Space } from './space.js';
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
}

export class DiskChunkStore implements ChunkStore {
  readonly #options: DiskChunkStoreOptions;
  readonly #directorySync: DirectorySync;
  readonly #space: Space;
  readonly #trash: Trash;
  /** Names of the pieces that are being written. */
  readonly #writing = new Set<string>();
  /**
   * Names that are there but not yet on stable storage, or never will be after a failed sync. To everybody else
   * these pieces are not stored: what a receipt or a report says of them could be lost with the power.
   */
  readonly #arriving = new Set<string>();

  private constructor(options: DiskChunkStoreOptions) {
    const { fileSystem, dataDir, clock, capacityBytes, trashTtlMs } = options;
    this.#options = options;
    this.#directorySync = new DirectorySync(fileSystem);
    this.#space = new Space(fileSystem, clock, dataDir, capacityBytes);
    this.#trash = new Trash(join(dataDir, names.trash), fileSystem, clock, this.#space, trashTtlMs);
  }

  /** Sweeps what an earlier start left half written, makes the names that it left durable, and counts them. */
  static async open(options: DiskChunkStoreOptions): Promise<DiskChunkStore> {
    const store = new DiskChunkStore(options);
    const { fileSystem, dataDir, health } = options;
    try {
      const tmp = join(dataDir, names.tmp);
      for (const name of await fileSystem.readDirectory(tmp)) await fileSystem.unlink(join(tmp, name));
      await store.#makeMissingShards();
      await store.#count();
    } catch (error) {
      throw health.failed(error, 'cannot open the chunk store');
    }
    return store;
  }

  /** A shard that somebody removed took its pieces along, as the next report tells; the others are still good. */
  async #makeMissingShards(): Promise<void> {
    const { fileSystem, dataDir } = this.#options;
    const directory = join(dataDir, names.chunks);
    const present = new Set(await fileSystem.readDirectory(directory));
    const missing = shards.filter((shard) => !present.has(shard));
    if (missing.length === 0) return;
    for (const shard of missing) await fileSystem.makeDirectory(join(directory, shard));
    await fileSystem.syncDirectory(directory);
  }

  async #count(): Promise<void> {
    const { fileSystem, dataDir } = this.#options;
    const sizes = async (directory: string, found: (name: string, bytes: number) => void): Promise<void> => {
      const files = await fileSystem.readDirectory(directory);
      await inParallel(files, parallelOperations, async (name) => {
        found(name, (await fileSystem.stat(join(directory, name)))?.sizeBytes ?? 0);
      });
    };
    const count = (_name: string, bytes: number): void => this.#space.count(bytes);
    await inParallel(shards, parallelOperations, async (shard) => {
      const directory = join(dataDir, names.chunks, shard);
      // An earlier start may have ended between a rename and its sync; from here on the piece counts as stored.
      await fileSystem.syncDirectory(directory);
      await sizes(directory, count);
    });
    await sizes(join(dataDir, names.quarantine), count);
    await sizes(this.#trash.directory, (name, bytes) => {
      this.#space.count(bytes);
      this.#trash.add(name, bytes);
    });
  }

  get failure(): HoldfastError | undefined {
    return this.#options.health.failure;
  }

  async begin(spec: PieceSpec): Promise<PieceWriter> {
    const { fileSystem, health, random, dataDir } = this.#options;
    health.check();
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
    const ended = (stored: boolean): void => {
      // Once: the name may have a new writer by now.
      if (hasEnded) return;
      hasEnded = true;
      endReservation?.(stored);
      this.#writing.delete(name);
    };
    try {
      endReservation = await this.#reserve(layoutOf(spec.lengthBytes, spec.blockSizeBytes).fileBytes);
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

  async open(key: PieceKey): Promise<StoredPieceReader> {
    if (this.#arriving.has(pieceName(key))) throw noSuchPiece(key);
    return openStoredPiece(this.#options.fileSystem, this.#pathOf(key), key, this.#options.clusterId());
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
    try {
      return await fileSystem.readDirectory(join(dataDir, names.chunks, shard));
    } catch (error) {
      throw health.failed(error, `cannot list chunks/${shard}`);
    }
  }

  async trash(chunkIds: readonly string[]): Promise<void> {
    this.#options.health.check();
    const wanted = new Set(chunkIds);
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
        if (fileBytes !== undefined) this.#trash.add(name, fileBytes);
      });
      await this.#syncMove(from, this.#trash.directory);
    }
  }

  emptyTrash(): Promise<void> {
    return this.#trash.empty();
  }

  async quarantine(key: PieceKey): Promise<void> {
    const { dataDir, health } = this.#options;
    health.check();
    const [from, to] = [this.#shardOf(key.chunkId), join(dataDir, names.quarantine)];
    await this.#move(from, to, pieceName(key));
    await this.#syncMove(from, to);
  }

  /** Moves a file and gives its size; undefined if it is not there (any more). */
  async #move(from: string, to: string, name: string): Promise<number | undefined> {
    const { fileSystem, health } = this.#options;
    try {
      const status = await fileSystem.stat(join(from, name));
      await fileSystem.rename(join(from, name), join(to, name));
      return status?.sizeBytes ?? 0;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw health.failed(error, `cannot move piece ${name}`);
    }
  }

  /** The new name first: a crash between the two leaves the piece findable. */
  async #syncMove(from: string, to: string): Promise<void> {
    try {
      await this.#directorySync.sync(to);
      await this.#directorySync.sync(from);
    } catch (error) {
      throw this.#options.health.syncFailed(error, 'cannot make a move durable');
    }
  }

  async capacity(): Promise<Capacity> {
    try {
      const capacity = await this.#space.capacity();
      // The trash gives way to new pieces, so its room is free: a keeper that told itself full because of its trash
      // would get no piece that makes it give way.
      const trashBytes = this.#trash.bytes;
      return { ...capacity, freeBytes: capacity.freeBytes + trashBytes, trashBytes };
    } catch (error) {
      throw this.#options.health.failed(error, 'cannot see how much room there is');
    }
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
