/** The words for pieces: which one, what shape, which name on disk, and a run of its blocks. */
import { type Bytes, isId, limits } from '@holdfast/shared';

export interface PieceKey {
  readonly chunkId: string;
  /** 0 to limits.maxPieces - 1. */
  readonly pieceIndex: number;
}

/** What is known of a piece before its first byte. */
export interface PieceSpec extends PieceKey {
  readonly uploadId: string;
  /** 1 to limits.maxChunkSizeBytes. */
  readonly lengthBytes: number;
  /** See isBlockSize. */
  readonly blockSizeBytes: number;
}

/** What is known of a piece that is whole. */
export interface StoredPiece extends PieceSpec {
  readonly digest: Buffer;
}

/** Whole blocks of a piece, one after the other, each with its CRC-32. */
export interface BlockRun {
  /** Where the run starts in the piece, a multiple of the block size. */
  readonly offsetBytes: number;
  readonly checksums: readonly number[];
  /** 1 byte to limits.messageDataBytes. */
  readonly data: Bytes;
}

/** A piece's name on disk, and in messages to people. */
export function pieceName({ chunkId, pieceIndex }: PieceKey): string {
  return `${chunkId}.${pieceIndex}`;
}

/** The piece that a file name names, or undefined if it names none. */
export function parsePieceName(name: string): PieceKey | undefined {
  const [chunkId = '', index = '', ...rest] = name.split('.');
  if (rest.length > 0 || !isId(chunkId) || !/^(0|[1-9]\d?)$/.test(index)) return undefined;
  const pieceIndex = Number(index);
  return pieceIndex < limits.maxPieces ? { chunkId, pieceIndex } : undefined;
}
