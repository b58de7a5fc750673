/** LocateFiles' answer as the core's types: each file's extents joined with the chunks, which it names once. */
import type { FileLocationOutput, LocateFilesResponseOutput, LocatedChunkOutput } from '@holdfast/proto';
import { checkId, limits } from '@holdfast/shared';
import { checkAtMost, checkBlockSize, checkDigest, checkInteger } from '@holdfast/shared/grpc';
import type { LocatedExtent, LocatedPage } from '../ports/tracker-api.js';
import { readPieceLocations } from './answers.js';

type Chunk = Omit<LocatedExtent, 'chunkOffset' | 'lengthBytes' | 'fileOffset'>;

export function readFileLocations(message: LocateFilesResponseOutput): (LocatedPage | undefined)[] {
  const chunks = new Map<string, Chunk>();
  for (const chunk of checkAtMost(message.chunks, limits.maxLocatePageSize, 'chunks').map(readChunk)) {
    chunks.set(chunk.chunkId, chunk);
  }
  return checkAtMost(message.files, limits.maxLocatedFiles, 'files').map((file) => readFile(file, chunks));
}

function readChunk(message: LocatedChunkOutput): Chunk {
  return {
    chunkId: checkId(message.chunkId, 'chunk.chunk_id'),
    chunkLengthBytes: checkInteger(message.length, 'chunk.length', 1, limits.maxChunkSizeBytes),
    chunkDigest: checkDigest(message.digest, 'chunk.digest'),
    blockSizeBytes: checkBlockSize(message.blockSizeBytes, 'chunk.block_size_bytes'),
    pieces: readPieceLocations(message.pieces),
    // A copy: the field is a slice of the whole answer.
    readToken: Buffer.from(message.readToken),
  };
}

function readFile(message: FileLocationOutput, chunks: ReadonlyMap<string, Chunk>): LocatedPage | undefined {
  if (message.status !== 'FILE_LOCATION_STATUS_LOCATED') return undefined;
  let fileOffset = 0;
  const extents = checkAtMost(message.extents, limits.maxExtentsPerLocatedFile, 'file.extents').map(
    ({ chunkId, chunkOffset, length }): LocatedExtent => {
      const chunk = chunks.get(chunkId);
      if (!chunk) throw new Error(`no chunk ${JSON.stringify(chunkId)} for an extent`);
      const most = chunk.chunkLengthBytes;
      const lengthBytes = checkInteger(length, 'extent.length', 1, most);
      const extent = {
        ...chunk,
        chunkOffset: checkInteger(chunkOffset, 'extent.chunk_offset', 0, most),
        lengthBytes,
        fileOffset,
      };
      fileOffset += lengthBytes;
      return extent;
    },
  );
  return {
    version: checkInteger(message.version, 'file.version', 1),
    sizeBytes: checkInteger(message.sizeBytes, 'file.size_bytes'),
    extents,
    nextOffset: 0,
  };
}
