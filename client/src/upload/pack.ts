/**
 * A pack: small files laid one after the other into one chunk, which becomes theirs with one commit.
 *
 * What it answers: a file of 8 KiB costs three calls, and on every keeper a file and two syncs; in a pack, thousands
 * share them. What it costs: the chunk's room is given back only when the last of them is gone.
 */
import { limits } from '@holdfast/shared';
import type { FileAttributes } from '../ports/tracker-api.js';
import type { SourceChunk } from './chunk-source.js';

/**
 * The longest chunk of a pack, in bytes. With 8 MiB 20,000 files of 1 to 16 KiB took three quarters of the time that
 * they took with 1 MiB; and those that are on their way at once fit the memory that a client has by default.
 */
export const maxPackBytes = 8 * 1024 * 1024;
/**
 * A longer file goes by itself, in bytes. Files of 300 to 512 KiB cost half the CPU in packs; beyond a message the
 * bytes are what a file costs, and room that is given back late is more.
 */
export const maxPackedFileBytes: number = limits.messageDataBytes;
/** While the tracker commits so many it answers nobody else, for less than 0.2 s on two cores that are busy. */
export const maxPackFiles = 1_000;

/** What the pack's maker wants to know of a file that is in it. */
export interface PackedFile<F> {
  readonly file: F;
  readonly path: string;
  readonly chunkOffset: number;
  readonly sizeBytes: number;
  readonly attributes: FileAttributes;
}

/** Not more than it may hold, and no path twice, as a commit names each once. */
export class Pack<F> {
  readonly #bytes: Uint8Array;
  readonly #files: PackedFile<F>[] = [];
  readonly #paths = new Set<string>();
  #lengthBytes = 0;
  #names = 0;

  /** @param maxBytes the longest chunk; the memory is taken from the system as it is filled */
  constructor(maxBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(maxBytes);
  }

  get files(): readonly PackedFile<F>[] {
    return this.#files;
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  fits(path: string, sizeBytes: number): boolean {
    return (
      this.#lengthBytes + sizeBytes <= this.#bytes.length &&
      this.#files.length < maxPackFiles &&
      this.#names + componentsOf(path) <= limits.maxNamesPerCommit &&
      !this.#paths.has(path)
    );
  }

  /** Lays a file that fits at the end; gives the room that its bytes are to be put into. */
  lay(file: F, path: string, sizeBytes: number, attributes: FileAttributes): Uint8Array {
    const chunkOffset = this.#lengthBytes;
    this.#files.push({ file, path, chunkOffset, sizeBytes, attributes });
    this.#paths.add(path);
    this.#names += componentsOf(path);
    this.#lengthBytes += sizeBytes;
    return this.bytesOf({ chunkOffset, sizeBytes });
  }

  bytesOf({ chunkOffset, sizeBytes }: Pick<PackedFile<F>, 'chunkOffset' | 'sizeBytes'>): Uint8Array {
    return this.#bytes.subarray(chunkOffset, chunkOffset + sizeBytes);
  }

  /** A pack of some of its files, without the room of the others. */
  only(files: readonly PackedFile<F>[]): Pack<F> {
    const pack = new Pack<F>(files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    for (const packed of files) {
      const { file, path, sizeBytes, attributes } = packed;
      pack.lay(file, path, sizeBytes, attributes).set(this.bytesOf(packed));
    }
    return pack;
  }

  /** The pack as a chunk to be sent. */
  chunk(): SourceChunk {
    const bytes = this.#bytes.subarray(0, this.#lengthBytes);
    return {
      fileOffset: 0,
      lengthBytes: bytes.length,
      async *runs() {
        const step = limits.messageDataBytes;
        for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
      },
      release: () => undefined,
    };
  }
}

function componentsOf(path: string): number {
  return path.split('/').length - 1;
}
