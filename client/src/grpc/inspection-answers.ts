/**
 * What the tracker tells operators, as the core's types, with every check of form (see answers.ts). Its words are no longer
 * than it sends them: one of megabytes would be as wide as each line of the table it comes to stand in.
 */
import type {
  EventOutput,
  ExplainedChunkOutput,
  ExplainedPieceOutput,
  PreviewKeeperLossResponseOutput,
  RepairStatusOutput,
  ScrubProgressOutput,
} from '@holdfast/proto';
import { checkId, splitPath } from '@holdfast/shared';
import { checkInteger, checkPresent, readEndpoint, wireText } from '@holdfast/shared/grpc';
import type { KeeperStatus, RepairStatus, ScrubProgress } from '../ports/cluster-status.js';
import type { ClusterEvent, ExplainedChunk, ExplainedPiece, LossPreview } from '../ports/inspection.js';

const keeperStates: Readonly<Record<string, KeeperStatus['state']>> = {
  KEEPER_STATE_LIVE: 'live',
  KEEPER_STATE_SUSPECT: 'suspect',
  KEEPER_STATE_DEAD: 'dead',
  KEEPER_STATE_MAINTENANCE: 'maintenance',
};

/** A state of a later version is 'unknown'. */
export function readKeeperState(state: string): KeeperStatus['state'] {
  return keeperStates[state] ?? 'unknown';
}

const pieceStates: Readonly<Record<string, ExplainedPiece['state']>> = {
  PIECE_STATE_PLANNED: 'planned',
  PIECE_STATE_DURABLE: 'durable',
  PIECE_STATE_COPYING: 'copying',
  PIECE_STATE_GARBAGE: 'garbage',
  PIECE_STATE_TRASHED: 'trashed',
};

function readPiece(message: ExplainedPieceOutput): ExplainedPiece {
  const { verifiedSinceUnixMs, writtenAtUnixMs } = message;
  return {
    keeper: readEndpoint(message.keeper, 'piece.keeper'),
    keeperState: readKeeperState(message.keeperState),
    state: pieceStates[message.state] ?? 'unknown',
    counted: message.counted,
    ...(verifiedSinceUnixMs !== undefined && { verifiedSinceUnixMs }),
    ...(writtenAtUnixMs !== undefined && { writtenAtUnixMs }),
    placedBecause: wireText(message.placedBecause),
  };
}

export function readExplainedChunk(message: ExplainedChunkOutput): ExplainedChunk {
  return {
    chunkId: checkId(message.chunkId, 'chunk_id'),
    fileOffset: checkInteger(message.fileOffset, 'file_offset'),
    lengthBytes: checkInteger(message.length, 'length', 1),
    policyPieces: message.policyPieces,
    countedPieces: message.countedPieces,
    pieces: message.pieces.map(readPiece),
    text: wireText(message.text),
  };
}

export function readLossPreview(message: PreviewKeeperLossResponseOutput): LossPreview {
  for (const path of message.lostPaths) splitPath(path);
  const summary = wireText(message.summary);
  const { lostChunks, lostBytes, lostFiles, lostPaths, endangeredChunks } = message;
  const { chunksBelowPolicy, bytesToCopy, roomBytes, canWrite } = message;
  return {
    ...{ summary, lostChunks, lostBytes, lostFiles, lostPaths, endangeredChunks },
    ...{ chunksBelowPolicy, bytesToCopy, roomBytes, canWrite },
  };
}

export function readEvent({ eventId, atUnixMs, kind, subject, text }: EventOutput): ClusterEvent {
  return {
    eventId: checkInteger(eventId, 'event_id', 1),
    atUnixMs,
    kind: wireText(kind),
    subject: wireText(subject),
    text: wireText(text),
  };
}

export function readRepairStatus(message: RepairStatusOutput | null): RepairStatus {
  const repair = checkPresent(message, 'repair');
  const { remainingMs } = repair;
  return {
    text: wireText(repair.text),
    chunksQueued: repair.chunksQueued,
    copiesInFlight: repair.copiesInFlight,
    bytesPerSecond: repair.bytesPerSecond,
    limitBytesPerSecond: repair.limitBytesPerSecond,
    ...(remainingMs !== undefined && { remainingMs }),
    braked: repair.braked,
    safeMode: repair.safeMode,
    blocked: repair.blocked.map(({ reason, chunks }) => ({ reason: wireText(reason), chunks })),
  };
}

export function readScrubProgress(message: ScrubProgressOutput): ScrubProgress {
  const { startedAtUnixMs, previousStartedAtUnixMs } = message;
  return {
    scannedPieces: message.scannedPieces,
    expectedPieces: message.expectedPieces,
    scannedBytes: message.scannedBytes,
    expectedBytes: message.expectedBytes,
    corruptPieces: message.corruptPieces,
    unreadPieces: message.unreadPieces,
    cachedPieces: message.cachedPieces,
    ...(startedAtUnixMs !== undefined && { startedAtUnixMs }),
    ...(previousStartedAtUnixMs !== undefined && { previousStartedAtUnixMs }),
    rounds: message.rounds,
  };
}
