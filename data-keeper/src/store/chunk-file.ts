/**
 * Header and footer of a chunk file: encoding, and decoding that believes nothing. Every damage is a
 * CHECKSUM_MISMATCH that says what is wrong; another copy may be good. Pure.
 */
import { HoldfastError, blockCount, digestBytes, digestOfTable, isBlockSize, limits } from '@holdfast/shared';
import { crc32 } from 'node:zlib';
import { chunkFileFormat as format } from './chunk-file-format.js';
import { type PieceKey, type PieceSpec, pieceName } from './piece.js';

export interface ChunkFileHeader extends PieceSpec {
  readonly clusterId: string;
}

/** Where the parts of a file are, in bytes from its start. */
export interface ChunkFileLayout {
  readonly dataStart: number;
  readonly tableStart: number;
  readonly tableBytes: number;
  readonly fileBytes: number;
}

export function layoutOf(lengthBytes: number, blockSizeBytes: number): ChunkFileLayout {
  const tableStart = format.headerBytes + lengthBytes;
  const tableBytes = blockCount(lengthBytes, blockSizeBytes) * 4;
  return {
    dataStart: format.headerBytes,
    tableStart,
    tableBytes,
    fileBytes: tableStart + tableBytes + format.footerBytes,
  };
}

/** What is wrong with a stored piece. */
export function damaged(key: PieceKey, why: string): HoldfastError {
  return new HoldfastError('CHECKSUM_MISMATCH', `piece ${pieceName(key)} is damaged: ${why}`, {
    remedy: 'Nothing to do while another copy is good: the tracker has this one verified and replaced.',
    facts: { chunk_id: key.chunkId },
  });
}

export function encodeHeader(header: ChunkFileHeader): Buffer {
  const bytes = Buffer.alloc(format.headerBytes);
  format.headerMagic.copy(bytes, format.header.magic);
  bytes.writeUInt32BE(format.version, format.header.version);
  bytes.writeUInt32BE(header.pieceIndex, format.header.pieceIndex);
  bytes.writeUInt32BE(header.blockSizeBytes, format.header.blockSize);
  bytes.write(header.clusterId, format.header.clusterId, 'hex');
  bytes.write(header.chunkId, format.header.chunkId, 'hex');
  bytes.write(header.uploadId, format.header.uploadId, 'hex');
  bytes.writeBigUInt64BE(BigInt(header.lengthBytes), format.header.length);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, format.header.crc)), format.header.crc);
  return bytes;
}

/**
 * @param expected whose file this should be, by its name and its storage
 * @throws HoldfastError CHECKSUM_MISMATCH
 */
export function decodeHeader(bytes: Buffer, expected: PieceKey & { clusterId: string }): ChunkFileHeader {
  const { header } = format;
  if (bytes.length !== format.headerBytes) throw damaged(expected, 'the header is cut off');
  if (!bytes.subarray(0, header.version).equals(format.headerMagic)) {
    throw damaged(expected, 'it does not begin like a chunk file');
  }
  if (crc32(bytes.subarray(0, header.crc)) !== bytes.readUInt32BE(header.crc)) {
    throw damaged(expected, 'the header does not match its checksum');
  }
  const version = bytes.readUInt32BE(header.version);
  if (version !== format.version) throw damaged(expected, `format version ${version} is unknown`);
  const decoded: ChunkFileHeader = {
    clusterId: bytes.toString('hex', header.clusterId, header.clusterId + 16),
    chunkId: bytes.toString('hex', header.chunkId, header.chunkId + 16),
    uploadId: bytes.toString('hex', header.uploadId, header.uploadId + 16),
    pieceIndex: bytes.readUInt32BE(header.pieceIndex),
    blockSizeBytes: bytes.readUInt32BE(header.blockSize),
    lengthBytes: Number(bytes.readBigUInt64BE(header.length)),
  };
  if (decoded.chunkId !== expected.chunkId || decoded.pieceIndex !== expected.pieceIndex) {
    throw damaged(expected, `the file holds piece ${pieceName(decoded)}: a write went astray`);
  }
  if (decoded.clusterId !== expected.clusterId) throw damaged(expected, "it is another cluster's");
  const sane =
    isBlockSize(decoded.blockSizeBytes) &&
    decoded.lengthBytes >= 1 &&
    decoded.lengthBytes <= limits.maxChunkSizeBytes;
  if (!sane) throw damaged(expected, 'the header states impossible sizes');
  return decoded;
}

export function encodeFooter(digest: Buffer): Buffer {
  const bytes = Buffer.alloc(format.footerBytes);
  digest.copy(bytes, format.footer.digest);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, format.footer.crc)), format.footer.crc);
  format.footerMagic.copy(bytes, format.footer.magic);
  return bytes;
}

/**
 * Checks table and footer against each other.
 *
 * @returns the digest, in memory of its own
 * @throws HoldfastError CHECKSUM_MISMATCH
 */
export function decodeFooter(bytes: Buffer, table: Buffer, key: PieceKey): Buffer {
  const { footer } = format;
  if (bytes.length !== format.footerBytes) throw damaged(key, 'the footer is cut off');
  if (!bytes.subarray(footer.magic).equals(format.footerMagic)) {
    throw damaged(key, 'it does not end like a chunk file');
  }
  if (crc32(bytes.subarray(0, footer.crc)) !== bytes.readUInt32BE(footer.crc)) {
    throw damaged(key, 'the footer does not match its checksum');
  }
  const digest = Buffer.from(bytes.subarray(footer.digest, footer.digest + digestBytes));
  if (!digestOfTable(table).equals(digest))
    throw damaged(key, 'the checksum table does not match its digest');
  return digest;
}
