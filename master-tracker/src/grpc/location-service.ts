/** ChunkLocationService: messages in, checked; core calls; messages out. */
import type {
  ChunkLocationServiceHandlers,
  LocateChunksRequestOutput,
  LocatedExtent as LocatedExtentMessage,
} from '@holdfast/proto';
import { HoldfastError, type Logger, checkId, limits, splitPath } from '@holdfast/shared';
import { checkInteger, unary, writeEndpoint, writePolicy } from '@holdfast/shared/grpc';
import type { LocateRequest, LocatedExtent, Locations } from '../locations/locations.js';

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
    pieces: extent.pieces.map(({ keeper, reachable }) => ({
      pieceIndex: 0,
      keeper: writeEndpoint(keeper),
      reachable,
    })),
    readToken: extent.readToken,
  };
}
