/** ReplicaService: other keepers' calls, in and out of the core's words. */
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type ReplicateChunkRequestOutput,
  type ReplicateChunkResponse,
  type StreamReplicaRequestOutput,
  type StreamReplicaResponse,
  keeperV1,
} from '@holdfast/proto';
import { type Logger, checkId } from '@holdfast/shared';
import { type Sendable, readEndpoint, responseBlocks, serverStream, unary } from '@holdfast/shared/grpc';
import type { PeerKeepers, PieceContent, PieceSource } from '../replication/peer-keepers.js';
import type { ReplicaSource } from '../replication/replica-source.js';
import type { KeeperSettings } from '../settings.js';
import type { ChunkWriter } from '../write/chunk-writer.js';
import { writeBlockRun } from './block-run.js';
import { writeOutcome } from './chunk-service.js';
import { checkPieceIndex, readContent, readWriteOrder } from './write-order.js';

export interface ReplicaServiceDeps {
  readonly writer: ChunkWriter;
  readonly source: ReplicaSource;
  readonly peers: PeerKeepers;
  readonly logger: Logger;
  readonly settings: KeeperSettings;
}

const { service } = keeperV1.ReplicaService;

export const replicaServiceDefinition = {
  ...service,
  StreamReplica: responseBlocks(service.StreamReplica),
};

function sourceOf({ run, digest }: PieceContent): PieceSource {
  async function* runs() {
    yield run;
  }
  return { runs: runs(), digest: () => digest };
}

export function replicaService(deps: ReplicaServiceDeps): UntypedServiceImplementation {
  const { writer, source, peers, logger, settings } = deps;
  const deadlineMs = settings.streamDeadlineMs;
  const handlers = {
    ReplicateChunk: unary<ReplicateChunkRequestOutput, ReplicateChunkResponse>(async (request, signal) => {
      const order = readWriteOrder(request);
      const from = readEndpoint(request.source, 'source');
      const content = readContent(request);
      const outcome = await writer.write(
        order,
        (streamSignal) =>
          content
            ? Promise.resolve(sourceOf(content))
            : peers.openReplica(from, order.spec, order.writeToken, { deadlineMs, signal: streamSignal }),
        settings.sourceStallMs,
        signal,
      );
      return writeOutcome(outcome);
    }, logger),

    StreamReplica: serverStream<StreamReplicaRequestOutput, Sendable<StreamReplicaResponse>>(
      async (request, send, signal) => {
        await source.stream(
          {
            chunkId: checkId(request.chunkId, 'chunk_id'),
            pieceIndex: checkPieceIndex(request.pieceIndex),
            token: request.token,
            keeperId: checkId(request.keeperId, 'keeper_id'),
          },
          {
            header: ({ lengthBytes, blockSizeBytes, uploadId }) =>
              send({ header: { length: lengthBytes, blockSizeBytes, uploadId } }),
            blocks: (run) => send({ blocks: writeBlockRun(run) }),
            footer: (digest) => send({ footer: { digest } }),
          },
          signal,
        );
      },
      logger,
    ),
  };
  return handlers;
}
