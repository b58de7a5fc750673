/**
 * The chunk file as it is on disk: positions and magic numbers, and nothing else. The twin of
 * docs/formats/chunk-file.md, which explains them.
 *
 * These numbers are in files that people keep. Do not change the values: a new layout is a new version.
 */
export const chunkFileFormat = {
  version: 1,
  /** The header, padded to a page so that the data behind it is aligned. */
  headerBytes: 4096,
  /** "HFCHUNK" and a byte that no text has. */
  headerMagic: Buffer.from('48464348554e4b89', 'hex'),
  header: {
    magic: 0,
    version: 8,
    pieceIndex: 12,
    blockSize: 16,
    clusterId: 24,
    chunkId: 40,
    uploadId: 56,
    length: 72,
    /** From here to `crc` zeros. */
    reserved: 80,
    /** The CRC-32 of all header bytes before it. */
    crc: 4092,
  },
  footerBytes: 48,
  /** "HFEND" and a byte that no text has, padded to 8. */
  footerMagic: Buffer.from('4846454e44890000', 'hex'),
  footer: {
    /** SHA-256 of the checksum table. */
    digest: 0,
    reserved: 32,
    /** The CRC-32 of the footer bytes before it. */
    crc: 36,
    magic: 40,
  },
} as const;
