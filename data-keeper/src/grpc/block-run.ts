/**
 * Runs of blocks to and from the contract's message. Only the form is checked here: whether a run fits its piece
 * and its checksums is checked where it is written (PieceWriter.append), for everybody.
 */
import type { BlockRun as BlockRunMessage, BlockRunOutput } from '@holdfast/proto';
import { checkInteger } from '@holdfast/shared/grpc';
import type { BlockRun } from '../store/piece.js';

export function readBlockRun(message: BlockRunOutput): BlockRun {
  return {
    offsetBytes: checkInteger(message.offset, 'blocks.offset'),
    checksums: message.checksums,
    data: message.data,
  };
}

export function writeBlockRun({ offsetBytes, checksums, data }: BlockRun): BlockRunMessage {
  return { offset: offsetBytes, checksums: checksums as number[], data };
}
