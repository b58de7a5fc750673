/**
 * A piece's file, by docs/formats/chunk-file.md and without the product's code: a judge must not ask the accused. The
 * judges of the simulation and of real processes (tests/support) read by this one.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

const headerBytes = 4_096;
const footerBytes = 48;
const at = { blockSize: 16, chunkId: 40, length: 72 } as const;

/** Where the parts of a piece's file begin, in bytes, as its header says: that has to be there. */
export function partsOf(file: Buffer): {
  readonly data: number;
  readonly table: number;
  readonly footer: number;
} {
  const lengthBytes = Number(file.readBigUInt64BE(at.length));
  const blocks = Math.ceil(lengthBytes / file.readUInt32BE(at.blockSize));
  const table = headerBytes + lengthBytes;
  return { data: headerBytes, table, footer: table + 4 * blocks };
}

/**
 * What is wrong with a piece's file, read from its first byte to its last; undefined if nothing is.
 *
 * @param digest its chunk's, in hexadecimal; without it the file is only held against itself
 */
export function damageOf(file: Buffer, chunkId: string, digest?: string): string | undefined {
  if (file.length < headerBytes) return 'the header is cut off';
  if (file.toString('hex', at.chunkId, at.chunkId + 16) !== chunkId) return 'it is of another chunk';
  const isWhole = (from: number, to: number, sumAt: number): boolean =>
    crc32(file.subarray(from, to)) === file.readUInt32BE(sumAt);
  if (!isWhole(0, headerBytes - 4, headerBytes - 4)) return 'the header is damaged';
  const { data, table, footer } = partsOf(file);
  if (file.length !== footer + footerBytes) return `it has ${file.length} bytes`;
  const blockBytes = file.readUInt32BE(at.blockSize);
  for (let from = data, block = 0; from < table; from += blockBytes, block += 1) {
    if (!isWhole(from, Math.min(from + blockBytes, table), table + 4 * block)) {
      return `block ${block} is damaged`;
    }
  }
  const found = createHash('sha256').update(file.subarray(table, footer)).digest('hex');
  if (digest !== undefined && found !== digest) return `its digest is ${found}, not ${digest}`;
  if (found !== file.toString('hex', footer, footer + 32)) return 'the footer has another digest';
  if (!isWhole(footer, footer + 36, footer + 36)) return 'the footer is damaged';
  const magic = file.toString('hex', footer + 40);
  return magic === '4846454e44890000' ? undefined : `it ends with ${magic}`;
}
