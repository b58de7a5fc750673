/**
 * Where a piece's bytes are until its name appears. A long piece goes to its temp file as it arrives. One that
 * fits a message is kept in memory and written whole, with one write: for a small file each call to the disk
 * costs more than its bytes, and those who follow need not read back what is not there yet.
 */
import { ByteParts, type Bytes, type FileSystem, type OpenFile, limits, partsOf } from '@holdfast/shared';
import type { StorageHealth } from './disk-error.js';
import { type PieceSpec, pieceName } from './piece.js';
import { readExactly } from './piece-reader.js';
import { SharedFile } from './shared-file.js';

/** Every method throws HoldfastError OUT_OF_SPACE, LIMIT_EXCEEDED or DISK_FAILED. */
export interface PieceBody {
  /**
   * Puts bytes at a position of the file, each right behind those before; they can be read when it resolves.
   * The memory is the body's from then on.
   */
  put(bytes: Bytes, position: number): Promise<void>;
  /** Bytes that were put: in `into`, or where they are anyway. */
  get(position: number, lengthBytes: number, into?: Buffer): Promise<Bytes>;
  /** Keeps what was put readable, also after `release`, until the result is called. */
  hold(): () => Promise<void>;
  /** Puts the last bytes and syncs: then the temp file is whole and durable. A failed sync is never tried again. */
  finish(bytes: Buffer, position: number): Promise<void>;
  /** The writer lets go, once. */
  release(): Promise<void>;
}

export interface PieceBodyHome {
  readonly fileSystem: FileSystem;
  readonly health: StorageHealth;
  readonly temporaryPath: string;
}

/** As much as a client sends in one message: within what a write pins in memory anyway (settings.maxWrites). */
const maxBytesInMemory = limits.messageDataBytes;

export async function beginBody(home: PieceBodyHome, spec: PieceSpec): Promise<PieceBody> {
  if (spec.lengthBytes <= maxBytesInMemory) return new MemoryBody(home, spec);
  return new FileBody(home, spec, await create(home, spec));
}

async function create({ fileSystem, health, temporaryPath }: PieceBodyHome, spec: PieceSpec) {
  return fileSystem.open(temporaryPath, 'create').catch((error: unknown) => {
    throw health.failed(error, `cannot create piece ${pieceName(spec)}`);
  });
}

async function write({ health }: PieceBodyHome, spec: PieceSpec, file: OpenFile, bytes: Bytes, at: number) {
  await file.write(bytes, at).catch((error: unknown) => {
    throw health.failed(error, `cannot write piece ${pieceName(spec)}`);
  });
}

async function sync({ health }: PieceBodyHome, spec: PieceSpec, file: OpenFile): Promise<void> {
  await file.syncData().catch((error: unknown) => {
    throw health.contentSyncFailed(error, `cannot store piece ${pieceName(spec)}`);
  });
}

class FileBody implements PieceBody {
  readonly #home: PieceBodyHome;
  readonly #spec: PieceSpec;
  readonly #shared: SharedFile;

  constructor(home: PieceBodyHome, spec: PieceSpec, file: OpenFile) {
    this.#home = home;
    this.#spec = spec;
    this.#shared = new SharedFile(file);
  }

  put(bytes: Bytes, position: number): Promise<void> {
    return write(this.#home, this.#spec, this.#shared.file, bytes, position);
  }

  get(position: number, lengthBytes: number, into?: Buffer): Promise<Buffer> {
    return readExactly(this.#shared.file, this.#spec, position, lengthBytes, into);
  }

  hold(): () => Promise<void> {
    return this.#shared.hold();
  }

  async finish(bytes: Buffer, position: number): Promise<void> {
    await this.put(bytes, position);
    await sync(this.#home, this.#spec, this.#shared.file);
  }

  release(): Promise<void> {
    return this.#shared.release();
  }
}

class MemoryBody implements PieceBody {
  readonly #home: PieceBodyHome;
  readonly #spec: PieceSpec;
  /** The file so far, in the parts that it came in: nothing is copied. */
  #parts: readonly Uint8Array[] = [];

  constructor(home: PieceBodyHome, spec: PieceSpec) {
    this.#home = home;
    this.#spec = spec;
  }

  async put(bytes: Bytes): Promise<void> {
    this.#parts = [...this.#parts, ...partsOf(bytes)];
  }

  async get(position: number, lengthBytes: number): Promise<Bytes> {
    return new ByteParts(this.#parts).subarray(position, position + lengthBytes);
  }

  hold(): () => Promise<void> {
    return () => Promise.resolve();
  }

  async finish(bytes: Buffer): Promise<void> {
    await this.put(bytes);
    const file = await create(this.#home, this.#spec);
    try {
      await write(this.#home, this.#spec, file, new ByteParts(this.#parts), 0);
      await sync(this.#home, this.#spec, file);
    } finally {
      // Not waited for: all that counts was synced, or is to be forgotten.
      file.close().catch(() => undefined);
    }
  }

  release(): Promise<void> {
    return Promise.resolve();
  }
}
