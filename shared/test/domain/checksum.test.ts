import { describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import {
  blockChecksum,
  blockChecksums,
  blockCount,
  ChecksumTable,
  digestOfTable,
  firstMismatch,
} from '../../src/domain/checksum.js';

describe('block checksums', () => {
  it('are the CRC-32 of IEEE 802.3', () => {
    expect(blockChecksum(Buffer.from('123456789'))).toBe(0xcbf43926);
  });

  it.each([1, 15, 16, 17, 32, 33])('find a flipped bit anywhere in %d bytes', (length) => {
    const data = randomBytes(length);
    const checksums = blockChecksums(data, 16);
    expect(checksums).toHaveLength(blockCount(length, 16));
    expect(firstMismatch(data, checksums, 16)).toBe(-1);
    for (let bit = 0; bit < length * 8; bit += 1) {
      const flipped = Buffer.from(data);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(firstMismatch(flipped, checksums, 16)).toBe((bit >> 7) * 16);
    }
  });

  it('miss no block and want no more', () => {
    const data = randomBytes(40);
    const checksums = blockChecksums(data, 16);
    expect(firstMismatch(data, checksums.slice(0, 2), 16)).toBe(32);
    expect(firstMismatch(data, [...checksums, 1], 16)).toBe(40);
  });
});

describe('ChecksumTable', () => {
  it('gives the same digest in any order of arrival', () => {
    const data = randomBytes(5 * 16 + 3);
    const checksums = blockChecksums(data, 16);
    const table = new ChecksumTable(data.length, 16);
    for (const index of [3, 0, 5, 1, 4, 2]) {
      expect(table.complete).toBe(false);
      table.set(index, checksums[index] ?? NaN);
    }
    expect(table.complete).toBe(true);
    const bytes = Buffer.concat(
      checksums.map((checksum) => {
        const word = Buffer.alloc(4);
        word.writeUInt32BE(checksum);
        return word;
      }),
    );
    expect(table.bytes()).toEqual(bytes);
    expect(table.digest()).toEqual(createHash('sha256').update(bytes).digest());
    expect(table.digest()).toEqual(digestOfTable(bytes));
  });
});
