/** ChunkService: clients' calls, in and out of the core's words. */
import type { ServerReadableStream, UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type ReadChunkRequestOutput,
  type ReadChunkResponse,
  type StatChunkRequestOutput,
  type StatChunkResponse,
  type WriteChunkRequestOutput,
  type WriteChunkResponse,
  keeperV1,
} from '@holdfast/proto';
import { type Clock, HoldfastError, type Logger, checkId } from '@holdfast/shared';
import {
  type Received,
  type Sendable,
  checkInteger,
  checkPresent,
  clientStream,
  requestBlocks,
  responseBlocks,
  serverStream,
  toErrorDetail,
  unary,
  writeReceipt,
} from '@holdfast/shared/grpc';
import type { ChunkReader } from '../read/chunk-reader.js';
import type { WriteOutcome } from '../replication/peer-keepers.js';
import type { KeeperSettings } from '../settings.js';
import type { BlockRun } from '../store/piece.js';
import type { ChunkWriter } from '../write/chunk-writer.js';
import { orStall } from '../write/stall.js';
import { readBlockRun, writeBlockRun } from './block-run.js';
import { checkPieceIndex, readWriteOrder } from './write-order.js';

export interface ChunkServiceDeps {
  readonly writer: ChunkWriter;
  readonly reader: ChunkReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: KeeperSettings;
}

const { service } = keeperV1.ChunkService;

export const chunkServiceDefinition = {
  ...service,
  WriteChunk: requestBlocks(service.WriteChunk),
  ReadChunk: responseBlocks(service.ReadChunk),
};

type WriteMessage = Received<WriteChunkRequestOutput>;

export function writeOutcome({ receipts, failures }: WriteOutcome): {
  receipts: ReturnType<typeof writeReceipt>[];
  failures: { keeperId: string; error: ReturnType<typeof toErrorDetail> }[];
} {
  return {
    receipts: receipts.map(writeReceipt),
    failures: failures.map(({ keeperId, error }) => ({ keeperId, error: toErrorDetail(error) })),
  };
}

/** The rest of a client's stream: blocks and nothing else. */
async function* runsOf(messages: AsyncIterator<WriteMessage>): AsyncGenerator<BlockRun> {
  for (;;) {
    const next = await messages.next();
    if (next.done === true) return;
    const { blocks } = next.value;
    if (!blocks) {
      throw new HoldfastError('INVALID_ARGUMENT', 'after its header a write holds blocks and nothing else');
    }
    yield readBlockRun(blocks);
  }
}

export function chunkService(deps: ChunkServiceDeps): UntypedServiceImplementation {
  const { writer, reader, clock, logger, settings } = deps;
  const handlers = {
    WriteChunk: clientStream(
      async (stream: ServerReadableStream<WriteMessage, WriteChunkResponse>, signal) => {
        const messages = stream[Symbol.asyncIterator]() as AsyncIterator<WriteMessage>;
        try {
          const stall = { clock, stallMs: settings.clientStallMs, signal, what: 'the header did not come' };
          const first = await orStall(messages.next(), stall);
          const header = checkPresent(
            first.done === true ? null : first.value.header,
            'the header of the write',
          );
          const source = { runs: runsOf(messages), digest: () => undefined };
          return writeOutcome(
            await writer.write(
              readWriteOrder(header),
              () => Promise.resolve(source),
              settings.clientStallMs,
              signal,
            ),
          );
        } finally {
          // Whatever is still to come, nobody wants it.
          stream.destroy();
        }
      },
      logger,
    ),

    ReadChunk: serverStream<ReadChunkRequestOutput, Sendable<ReadChunkResponse>>(
      async (request, send, signal) => {
        await reader.read(
          {
            chunkId: checkId(request.chunkId, 'chunk_id'),
            pieceIndex: checkPieceIndex(request.pieceIndex),
            offsetBytes: checkInteger(request.offset, 'offset'),
            lengthBytes: checkInteger(request.length, 'length'),
            readToken: request.readToken,
          },
          {
            header: ({ lengthBytes, blockSizeBytes, digest }) =>
              send({ header: { length: lengthBytes, blockSizeBytes, digest } }),
            blocks: (run) => send({ blocks: writeBlockRun(run) }),
          },
          signal,
        );
      },
      logger,
    ),

    StatChunk: unary<StatChunkRequestOutput, StatChunkResponse>(async (request) => {
      const key = {
        chunkId: checkId(request.chunkId, 'chunk_id'),
        pieceIndex: checkPieceIndex(request.pieceIndex),
      };
      const { lengthBytes, blockSizeBytes, digest } = await reader.stat(key, request.readToken);
      return {
        length: lengthBytes,
        blockSizeBytes,
        digest: digest ?? Buffer.alloc(0),
        durable: digest !== undefined,
      };
    }, logger),
  };
  return handlers;
}
