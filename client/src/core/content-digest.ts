/**
 * The content digest of a file: the digest that it would have if it were one piece, whatever chunks it is stored in.
 * It tells whether two files are the same without moving their bytes.
 */
import { createHash } from 'node:crypto';
import { type Bytes, ChecksumTable, blockChecksums, crc32, limits, partsOf } from '@holdfast/shared';

/** Four bytes for a block of 64 KiB: 256 GiB that were sent past a chunk which finds no keepers. */
const maxWaitingBytes = 16 * 1024 * 1024;

interface Part {
  readonly lengthBytes: number;
  readonly checksums: Uint8Array;
}

/** Made of the checksums of a file's parts, in any order. What has its turn is hashed at once, so little is kept. */
export class ContentDigest {
  readonly #hash = createHash('sha256');
  readonly #waiting = new Map<number, Part>();
  #waitingBytes = 0;
  #reachedBytes = 0;

  /**
   * The part of the file from `fileOffset` on, which is not empty, by the CRC-32 of each of its blocks of 64 KiB, four
   * bytes each, big-endian. Once for a part; a part that does not start with a block of the file is as good as missing.
   */
  add(fileOffset: number, part: Part): void {
    if (fileOffset % limits.blockSizeBytes !== 0) return;
    this.#waitingBytes += part.checksums.length;
    // Past the bound this part is missing, and the digest unknown.
    if (this.#waitingBytes <= maxWaitingBytes) this.#waiting.set(fileOffset, part);
    for (let next = this.#take(); next; next = this.#take()) this.#hash.update(next.checksums);
  }

  /** The digest of a file of `sizeBytes`; undefined if a part of it is missing. Called once, at the end. */
  digest(sizeBytes: number): Buffer | undefined {
    return this.#reachedBytes === sizeBytes ? this.#hash.digest() : undefined;
  }

  #take(): Part | undefined {
    const next = this.#waiting.get(this.#reachedBytes);
    if (!next) return undefined;
    this.#waiting.delete(this.#reachedBytes);
    this.#waitingBytes -= next.checksums.length;
    this.#reachedBytes += next.lengthBytes;
    return next;
  }
}

/** The content digest of bytes that are all there. */
export function digestOfWhole(bytes: Uint8Array): Buffer {
  const table = new ChecksumTable(bytes.length, limits.blockSizeBytes);
  blockChecksums(bytes, limits.blockSizeBytes).forEach((checksum, block) => table.set(block, checksum));
  return table.digest();
}

/** The content digest of bytes that come in order, in pieces of any length. */
export async function digestOfBytes(bytes: AsyncIterable<Bytes> | Iterable<Bytes>): Promise<Buffer> {
  const digest = new OrderedDigest();
  for await (const part of bytes) digest.add(part);
  return digest.digest();
}

/** The content digest of bytes that are handed over in order, in pieces of any length. */
export class OrderedDigest {
  readonly #hash = createHash('sha256');
  readonly #word = Buffer.alloc(4);
  #checksum = 0;
  #leftBytes: number = limits.blockSizeBytes;

  add(bytes: Bytes): void {
    for (const part of partsOf(bytes)) {
      for (let at = 0; at < part.length;) {
        const taken = part.subarray(at, at + this.#leftBytes);
        this.#checksum = crc32(taken, this.#checksum);
        at += taken.length;
        this.#leftBytes -= taken.length;
        if (this.#leftBytes === 0) this.#endBlock();
      }
    }
  }

  /** Called once, at the end. */
  digest(): Buffer {
    if (this.#leftBytes < limits.blockSizeBytes) this.#endBlock();
    return this.#hash.digest();
  }

  #endBlock(): void {
    this.#word.writeUInt32BE(this.#checksum);
    this.#hash.update(this.#word);
    this.#checksum = 0;
    this.#leftBytes = limits.blockSizeBytes;
  }
}
