/**
 * Checksums. A block has a CRC-32 (IEEE 802.3, the one every language has in its standard library); a piece has
 * a digest, the SHA-256 of its block checksums, each as four bytes, big-endian, in order. The digest names the
 * whole content at the cost of hashing 4 bytes a block, and it can be computed in any order of arrival.
 *
 * It detects accidents, not attacks: CRC-32 is linear, and whoever can write a piece can forge one.
 */
import { createHash } from 'node:crypto';
import { limits } from '../limits.js';
import { type Bytes, partsOf } from './bytes.js';
import { crc32 } from './crc32.js';

/** The length of a digest in bytes. */
export const digestBytes = 32;

/** The CRC-32 of a block. */
export function blockChecksum(block: Bytes): number {
  let checksum = 0;
  for (const part of partsOf(block)) checksum = crc32(part, checksum);
  return checksum;
}

/** A page. The table of checksums of the longest chunk has 64 KiB then; of shorter blocks it would fill a memory. */
const minBlockSizeBytes = 4 * 1024;

/** Blocks are powers of two from a page to a whole message, so that every message can hold whole blocks. */
export function isBlockSize(bytes: number): boolean {
  const isPowerOfTwo = Number.isInteger(Math.log2(bytes));
  return isPowerOfTwo && bytes >= minBlockSizeBytes && bytes <= limits.messageDataBytes;
}

/** How many blocks a piece of `lengthBytes` has. */
export function blockCount(lengthBytes: number, blockSizeBytes: number = limits.blockSizeBytes): number {
  return Math.ceil(lengthBytes / blockSizeBytes);
}

/** The checksums of the blocks of `data`, which starts at a block boundary; the last block may be short. */
export function blockChecksums(data: Bytes, blockSizeBytes: number = limits.blockSizeBytes): number[] {
  const checksums: number[] = [];
  let checksum = 0;
  let left = blockSizeBytes;
  for (const part of partsOf(data)) {
    for (let offset = 0; offset < part.length;) {
      const taken = Math.min(left, part.length - offset);
      checksum = crc32(part.subarray(offset, offset + taken), checksum);
      offset += taken;
      left -= taken;
      if (left > 0) continue;
      checksums.push(checksum);
      checksum = 0;
      left = blockSizeBytes;
    }
  }
  if (left < blockSizeBytes) checksums.push(checksum);
  return checksums;
}

/** The offset of the first block in `data` that does not match, or -1 if all do and none is missing. */
export function firstMismatch(
  data: Bytes,
  checksums: readonly number[],
  blockSizeBytes: number = limits.blockSizeBytes,
): number {
  const actual = blockChecksums(data, blockSizeBytes);
  const wrong = actual.findIndex((checksum, index) => checksum !== checksums[index]);
  if (wrong >= 0) return wrong * blockSizeBytes;
  return checksums.length === actual.length ? -1 : data.length;
}

/** The checksums of a piece, filled in as its blocks are known; gives the digest when all are. */
export class ChecksumTable {
  readonly #table: Buffer;
  readonly blocks: number;
  #known = 0;

  constructor(lengthBytes: number, blockSizeBytes: number = limits.blockSizeBytes) {
    this.blocks = blockCount(lengthBytes, blockSizeBytes);
    this.#table = Buffer.alloc(this.blocks * 4);
  }

  /** Records block `index`. Each block is recorded once. */
  set(index: number, checksum: number): void {
    this.#table.writeUInt32BE(checksum, index * 4);
    this.#known += 1;
  }

  get(index: number): number {
    return this.#table.readUInt32BE(index * 4);
  }

  get complete(): boolean {
    return this.#known === this.blocks;
  }

  /** Four bytes a block, big-endian: what a chunk file stores and what the digest is made of. */
  bytes(): Buffer {
    return this.#table;
  }

  digest(): Buffer {
    return digestOfTable(this.#table);
  }
}

/** The digest of a piece whose block checksums are `table` (four bytes each, big-endian). */
export function digestOfTable(table: Uint8Array): Buffer {
  return createHash('sha256').update(table).digest();
}
