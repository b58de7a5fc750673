/** Header and footer of the chunk file: every bit counts, and the layout is what the format document says. */
import { describe, expect, it } from '@jest/globals';
import { digestOfTable, hasCode } from '@holdfast/shared';
import { crc32 } from 'node:zlib';
import {
  decodeFooter,
  decodeHeader,
  encodeFooter,
  encodeHeader,
  layoutOf,
} from '../../src/store/chunk-file.js';
import { parsePieceName, pieceName } from '../../src/store/piece.js';

const header = {
  clusterId: '11'.repeat(16),
  chunkId: '22'.repeat(16),
  uploadId: '33'.repeat(16),
  pieceIndex: 3,
  blockSizeBytes: 65_536,
  lengthBytes: 100_000,
};
const table = Buffer.from('0102030405060708', 'hex');

/** The header with a field changed and its CRC made right again: what a defect would write. */
function forged(change: (bytes: Buffer) => void): Buffer {
  const bytes = encodeHeader(header);
  change(bytes);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 4092)), 4092);
  return bytes;
}

/** How many of the bits of `bytes` may be flipped without `decode` refusing. */
function unnoticedFlips(bytes: Buffer, decode: () => unknown): number {
  let unnoticed = 0;
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const at = bit >> 3;
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    try {
      decode();
      unnoticed += 1;
    } catch (error) {
      if (!hasCode(error, 'CHECKSUM_MISMATCH')) throw error;
    }
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
  }
  return unnoticed;
}

describe('the header', () => {
  it('comes back as it went in, from the places that the document names', () => {
    const bytes = encodeHeader(header);
    expect(bytes).toHaveLength(4096);
    expect(decodeHeader(bytes, header)).toEqual(header);
    expect(bytes.toString('latin1', 0, 7)).toBe('HFCHUNK');
    expect([8, 12, 16].map((at) => bytes.readUInt32BE(at))).toEqual([1, 3, 65_536]);
    expect([24, 40, 56].map((at) => bytes[at])).toEqual([0x11, 0x22, 0x33]);
    expect(bytes.readBigUInt64BE(72)).toBe(100_000n);
    expect(bytes.readUInt32BE(4092)).toBe(crc32(bytes.subarray(0, 4092)));
  });

  it('is refused with any bit flipped', () => {
    const bytes = encodeHeader(header);
    expect(unnoticedFlips(bytes, () => decodeHeader(bytes, header))).toBe(0);
  });

  it.each<[string, Buffer]>([
    ['cut off', encodeHeader(header).subarray(0, 4095)],
    ['of an unknown version', forged((bytes) => bytes.writeUInt32BE(2, 8))],
    ['of another chunk', forged((bytes) => bytes.writeUInt8(0x99, 40))],
    ['of another piece', forged((bytes) => bytes.writeUInt32BE(4, 12))],
    ["another cluster's", forged((bytes) => bytes.writeUInt8(0x99, 24))],
    ['with an odd block size', forged((bytes) => bytes.writeUInt32BE(5_000, 16))],
    ['with no length', forged((bytes) => bytes.writeBigUInt64BE(0n, 72))],
    ['with an absurd length', forged((bytes) => bytes.writeBigUInt64BE(2n ** 60n, 72))],
  ])('is refused when it is %s', (_what, bytes) => {
    expect(() => decodeHeader(bytes, header)).toThrow(expect.objectContaining({ code: 'CHECKSUM_MISMATCH' }));
  });
});

describe('the footer', () => {
  it('comes back as it went in', () => {
    const digest = digestOfTable(table);
    const bytes = encodeFooter(digest);
    expect(bytes).toHaveLength(48);
    expect(bytes.toString('latin1', 40, 45)).toBe('HFEND');
    expect(decodeFooter(bytes, table, header)).toEqual(digest);
  });

  it('is refused with any bit flipped, in it or in the table', () => {
    const bytes = Buffer.concat([table, encodeFooter(digestOfTable(table))]);
    expect(unnoticedFlips(bytes, () => decodeFooter(bytes.subarray(8), bytes.subarray(0, 8), header))).toBe(
      0,
    );
    expect(() => decodeFooter(bytes.subarray(9), bytes.subarray(0, 8), header)).toThrow(/cut off/);
  });
});

it('the layout follows from length and block size', () => {
  expect(layoutOf(100_000, 65_536)).toEqual({
    dataStart: 4096,
    tableStart: 104_096,
    tableBytes: 8,
    fileBytes: 104_096 + 8 + 48,
  });
});

it('only names of pieces are names of pieces', () => {
  const key = { chunkId: 'a0'.repeat(16), pieceIndex: 12 };
  expect(parsePieceName(pieceName(key))).toEqual(key);
  for (const name of [
    '',
    'x',
    `${key.chunkId}`,
    `${key.chunkId}.16`,
    `${key.chunkId}.01`,
    `${key.chunkId}.1.2`,
  ]) {
    expect(parsePieceName(name)).toBeUndefined();
  }
});
