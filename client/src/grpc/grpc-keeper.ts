/** Keepers over gRPC: a chunk out as a client stream, a range in as a server stream. */
import {
  type ReadChunkResponseOutput,
  type WriteChunkRequest as WriteChunkMessage,
  type WriteChunkResponseOutput,
  keeperV1,
} from '@holdfast/proto';
import { HoldfastError, checkId, limits } from '@holdfast/shared';
import {
  type ChannelPool,
  type Received,
  type Sendable,
  callClientStream,
  callServerStream,
  checkDigest,
  checkInteger,
  fromErrorDetail,
  readReceipt,
  requestBlocks,
  responseBlocks,
  writeEndpoint,
  writeMessage,
} from '@holdfast/shared/grpc';
import {
  type BlockRun,
  type KeeperApi,
  type PieceMessage,
  type WriteChunkRequest,
  type WriteOutcome,
  runsInFlight,
} from '../ports/keeper-api.js';
import { answerOf } from './answers.js';

const { service } = keeperV1.ChunkService;
const WriteChunk = requestBlocks(service.WriteChunk);
const ReadChunk = responseBlocks(service.ReadChunk);

/**
 * Bytes out and bytes in have connections of their own: Node's HTTP/2 does not read from a connection while it writes to
 * it, so with many bytes both ways each end would wait for the other to read, until keepalive ends it after 30 s.
 */
export interface KeeperChannels {
  readonly writes: ChannelPool;
  readonly reads: ChannelPool;
}

export function createGrpcKeepers({ writes, reads }: KeeperChannels): KeeperApi {
  return {
    async writeChunk(head, request, runs, options) {
      const peer = `keeper ${head.address}`;
      const { stream, response } = callClientStream(writes.get(head.address), peer, WriteChunk, options);
      // An answer before the end (a refusal, or a chunk that is there already) ends the sending.
      const answered = response.then(
        () => undefined,
        () => undefined,
      );
      try {
        const sending = sendAll((message) => writeMessage(stream, message), request, runs);
        // Whoever is later has nothing more to say.
        sending.catch(() => undefined);
        await Promise.race([sending, answered]);
      } catch (error) {
        // The call's own outcome says more than "it ended while a message was being sent".
        if (HoldfastError.is(error) && error.code === 'UNAVAILABLE') return readOutcome(peer, await response);
        stream.cancel();
        throw error;
      }
      stream.end();
      return readOutcome(peer, await response);
    },

    async *readChunk({ address }, { lengthBytes, ...request }, options) {
      const peer = `keeper ${address}`;
      const message = { ...request, length: lengthBytes };
      for await (const answer of callServerStream(reads.get(address), peer, ReadChunk, message, options)) {
        yield answerOf(peer, () => readPieceMessage(answer));
      }
    },
  };
}

/** Sends header and runs with at most `runsInFlight` messages that HTTP/2 has not taken yet. */
async function sendAll(
  write: (message: Sendable<WriteChunkMessage>) => Promise<void>,
  { lengthBytes, followers, ...header }: WriteChunkRequest,
  runs: AsyncIterable<BlockRun>,
): Promise<void> {
  const unfinished: Promise<void>[] = [];
  const send = async (message: Sendable<WriteChunkMessage>): Promise<void> => {
    const written = write(message);
    written.catch(() => undefined);
    unfinished.push(written);
    if (unfinished.length >= runsInFlight) await unfinished.shift();
  };
  await send({
    header: { ...header, length: lengthBytes, followers: followers.map(writeEndpoint), pieceIndex: 0 },
  });
  for await (const { offset, checksums, data } of runs) {
    await send({ blocks: { offset, checksums: [...checksums], data } });
  }
  await Promise.all(unfinished);
}

function readOutcome(peer: string, answer: WriteChunkResponseOutput): WriteOutcome {
  return answerOf(peer, () => ({
    receipts: answer.receipts.slice(0, limits.maxPieces).map(readReceipt),
    failures: answer.failures.slice(0, limits.maxPieces).map(({ keeperId, error }) => ({
      keeperId: checkId(keeperId, 'failure.keeper_id'),
      error: error ? fromErrorDetail(error) : new HoldfastError('UNAVAILABLE', `keeper ${keeperId} failed`),
    })),
  }));
}

function readPieceMessage({ header, blocks }: Received<ReadChunkResponseOutput>): PieceMessage {
  if (header) {
    return {
      kind: 'header',
      lengthBytes: checkInteger(header.length, 'header.length'),
      blockSizeBytes: header.blockSizeBytes,
      digest: checkDigest(header.digest),
    };
  }
  if (!blocks) throw new HoldfastError('INVALID_ARGUMENT', 'a message with neither header nor blocks');
  const { checksums, data } = blocks;
  return { kind: 'blocks', run: { offset: checkInteger(blocks.offset, 'blocks.offset'), checksums, data } };
}
