/** ChunkLocationService: messages in, checked; core calls; messages out. */
import type {
  ChunkLocationServiceHandlers,
  FileLocation as FileLocationMessage,
  FileLocationStatus,
  LocateChunksRequestOutput,
  LocatedChunk as LocatedChunkMessage,
  LocatedExtent as LocatedExtentMessage,
  PieceLocation as PieceLocationMessage,
} from '@holdfast/proto';
import { HoldfastError, type Logger, checkId, limits, splitPath } from '@holdfast/shared';
import { checkAtMost, checkInteger, unary, writeEndpoint, writePolicy } from '@holdfast/shared/grpc';
import type { FileLocation } from '../locations/file-extents.js';
import type { LocateRequest, LocatedChunk, LocatedExtent, Locations } from '../locations/locations.js';

export function locationHandlers(
  locations: Locations,
  tokenLifetimeMs: number,
  logger: Logger,
): ChunkLocationServiceHandlers {
  return {
    LocateChunks: unary(async (request) => {
      const located = await locations.locate({
        target: readTarget(request),
        offset: checkInteger(request.offset, 'offset'),
        lengthBytes: checkInteger(request.length, 'length'),
        pageSize: Math.min(request.pageSize || limits.defaultLocatePageSize, limits.maxLocatePageSize),
      });
      return {
        version: located.version,
        sizeBytes: located.sizeBytes,
        policy: writePolicy(located.policy),
        extents: located.extents.map(writeExtent),
        nextOffset: located.nextOffset,
        tokenLifetimeMs,
      };
    }, logger),

    LocateFiles: unary(async ({ versions }) => {
      if (versions.length === 0) throw new HoldfastError('INVALID_ARGUMENT', 'versions are needed');
      const wanted = checkAtMost(versions, limits.maxLocatedFiles, 'versions');
      const located = await locations.locateFiles(
        wanted.map((version) => checkInteger(version, 'versions', 1)),
      );
      return {
        files: located.files.map(writeFileLocation),
        chunks: located.chunks.map(writeChunk),
        tokenLifetimeMs,
      };
    }, logger),

    ReportBadPiece: unary(async (request) => {
      checkInteger(request.pieceIndex, 'piece_index', 0, limits.maxPieces - 1);
      await locations.reportBadPiece(
        checkId(request.chunkId, 'chunk_id'),
        checkId(request.keeperId, 'keeper_id'),
        request.readToken,
      );
      return {};
    }, logger),
  };
}

function readTarget(request: LocateChunksRequestOutput): LocateRequest['target'] {
  if (request.target === 'path') return { names: splitPath(request.path ?? '') };
  if (request.target === 'version') return { version: checkInteger(request.version ?? 0, 'version', 1) };
  throw new HoldfastError('INVALID_ARGUMENT', 'a path or a version is needed');
}

function writeExtent(extent: LocatedExtent): LocatedExtentMessage {
  return {
    extent: { chunkId: extent.chunkId, chunkOffset: extent.chunkOffset, length: extent.lengthBytes },
    fileOffset: extent.fileOffset,
    chunkLength: extent.chunkLengthBytes,
    chunkDigest: Buffer.from(extent.chunkDigest, 'hex'),
    blockSizeBytes: limits.blockSizeBytes,
    pieces: writePieces(extent.pieces),
    readToken: extent.readToken,
  };
}

function writePieces(pieces: LocatedExtent['pieces']): PieceLocationMessage[] {
  return pieces.map(({ keeper, reachable }) => ({ pieceIndex: 0, keeper: writeEndpoint(keeper), reachable }));
}

const fileStatuses: Readonly<Record<FileLocation['status'], FileLocationStatus>> = {
  located: 'FILE_LOCATION_STATUS_LOCATED',
  gone: 'FILE_LOCATION_STATUS_GONE',
  'left-out': 'FILE_LOCATION_STATUS_LEFT_OUT',
};

function writeFileLocation(file: FileLocation): FileLocationMessage {
  const { status, version } = file;
  if (status !== 'located') return { version, status: fileStatuses[status] };
  const extents = file.extents.map(({ lengthBytes, ...extent }) => ({ ...extent, length: lengthBytes }));
  return { version, status: fileStatuses[status], sizeBytes: file.sizeBytes, extents };
}

function writeChunk(chunk: LocatedChunk): LocatedChunkMessage {
  return {
    chunkId: chunk.chunkId,
    length: chunk.lengthBytes,
    digest: Buffer.from(chunk.digest, 'hex'),
    blockSizeBytes: limits.blockSizeBytes,
    pieces: writePieces(chunk.pieces),
    readToken: chunk.readToken,
  };
}
