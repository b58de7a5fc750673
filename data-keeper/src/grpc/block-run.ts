/**
 * Runs of blocks to and from the contract's message. Only the form is checked here: whether a run fits its piece
 * and its checksums is checked where it is written (PieceWriter.append), for everybody.
 */
import type { BlockRun as BlockRunMessage } from '@holdfast/proto';
import { joinBytes } from '@holdfast/shared';
import { type ReceivedBlocks, type SendableBlocks, checkInteger } from '@holdfast/shared/grpc';
import type { BlockRun } from '../store/piece.js';

export function readBlockRun(message: ReceivedBlocks): BlockRun {
  return {
    offsetBytes: checkInteger(message.offset, 'blocks.offset'),
    checksums: message.checksums,
    data: message.data,
  };
}

export function writeBlockRun({ offsetBytes, checksums, data }: BlockRun): SendableBlocks {
  return { offset: offsetBytes, checksums: checksums as number[], data };
}

/** A run for a message of the generated serialiser, which takes one buffer. */
export function writeSmallRun({ offsetBytes, checksums, data }: BlockRun): BlockRunMessage {
  return { offset: offsetBytes, checksums: checksums as number[], data: joinBytes(data) };
}
