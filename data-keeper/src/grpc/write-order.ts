/** Orders to write a piece, from a client's header or a peer's call, with every check of their form. */
import type {
  ReplicateChunkRequest,
  ReplicateChunkRequestOutput,
  WriteChunkHeaderOutput,
} from '@holdfast/proto';
import { type KeeperEndpoint, checkId, limits } from '@holdfast/shared';
import {
  checkAtMost,
  checkBlockSize,
  checkDigest,
  checkInteger,
  readEndpoint,
  writeEndpoint,
} from '@holdfast/shared/grpc';
import type { PieceContent, WriteOrder } from '../replication/peer-keepers.js';
import { readBlockRun, writeSmallRun } from './block-run.js';

export function checkPieceIndex(value: number): number {
  return checkInteger(value, 'piece_index', 0, limits.maxPieces - 1);
}

/** @throws HoldfastError INVALID_ARGUMENT, LIMIT_EXCEEDED */
export function readWriteOrder(message: WriteChunkHeaderOutput | ReplicateChunkRequestOutput): WriteOrder {
  return {
    spec: {
      chunkId: checkId(message.chunkId, 'chunk_id'),
      uploadId: checkId(message.uploadId, 'upload_id'),
      pieceIndex: checkPieceIndex(message.pieceIndex),
      lengthBytes: checkInteger(message.length, 'length', 1, limits.maxChunkSizeBytes),
      blockSizeBytes: checkBlockSize(message.blockSizeBytes),
    },
    followers: checkAtMost(message.followers, limits.maxPieces - 1, 'followers').map((follower) =>
      readEndpoint(follower, 'follower'),
    ),
    writeToken: Buffer.from(message.writeToken),
  };
}

/** The content that came with an order, if any did. @throws HoldfastError INVALID_ARGUMENT */
export function readContent({ blocks, digest }: ReplicateChunkRequestOutput): PieceContent | undefined {
  return blocks ? { run: readBlockRun(blocks), digest: checkDigest(digest) } : undefined;
}

export function writeReplicateRequest(
  source: KeeperEndpoint,
  order: WriteOrder,
  content?: PieceContent,
): ReplicateChunkRequest {
  const { lengthBytes, ...spec } = order.spec;
  return {
    ...spec,
    length: lengthBytes,
    source: writeEndpoint(source),
    followers: order.followers.map(writeEndpoint),
    writeToken: order.writeToken,
    ...(content && { blocks: writeSmallRun(content.run), digest: content.digest }),
  };
}
