/** Other keepers over gRPC: orders on one channel a peer, bytes on another, so that neither waits for the other. */
import { type StreamReplicaResponseOutput, keeperV1 } from '@holdfast/proto';
import { HoldfastError, type KeeperEndpoint, checkId, limits } from '@holdfast/shared';
import {
  ChannelPool,
  type Received,
  callServerStream,
  callUnary,
  checkBlockSize,
  checkDigest,
  checkInteger,
  checkPresent,
  type Transport,
  controlChannelOptions,
  dataChannelOptions,
  dataConnections,
  fromErrorDetail,
  readReceipt,
  responseBlocks,
} from '@holdfast/shared/grpc';
import type {
  PeerCallOptions,
  PeerKeepers,
  PieceContent,
  ReplicaStream,
  WriteOrder,
  WriteOutcome,
} from '../replication/peer-keepers.js';
import type { BlockRun, PieceKey } from '../store/piece.js';
import { readBlockRun } from './block-run.js';
import { writeReplicateRequest } from './write-order.js';

const { ReplicateChunk } = keeperV1.ReplicaService.service;
const StreamReplica = responseBlocks(keeperV1.ReplicaService.service.StreamReplica);

function nameOf({ keeperId, address }: KeeperEndpoint): string {
  return `keeper ${keeperId} at ${address}`;
}

export class GrpcPeerKeepers implements PeerKeepers {
  readonly #control: ChannelPool;
  readonly #data: ChannelPool;
  readonly #selfId: string;

  constructor(selfId: string, transport: Transport) {
    this.#selfId = selfId;
    this.#control = new ChannelPool(controlChannelOptions, 1, transport);
    this.#data = new ChannelPool(dataChannelOptions, dataConnections, transport);
  }

  async replicate(
    peer: KeeperEndpoint,
    source: KeeperEndpoint,
    order: WriteOrder,
    options: PeerCallOptions,
    content?: PieceContent,
  ): Promise<WriteOutcome> {
    const request = writeReplicateRequest(source, order, content);
    const channel = this.#control.get(peer.address);
    const answer = await callUnary(channel, nameOf(peer), ReplicateChunk, request, options);
    return {
      receipts: answer.receipts.slice(0, limits.maxPieces).map(readReceipt),
      failures: answer.failures.slice(0, limits.maxPieces).map(({ keeperId, error }) => ({
        keeperId: checkId(keeperId, 'failure.keeper_id'),
        error: fromErrorDetail(checkPresent(error, 'failure.error')),
      })),
    };
  }

  async openReplica(
    peer: KeeperEndpoint,
    { chunkId, pieceIndex }: PieceKey,
    token: Buffer,
    options: PeerCallOptions,
  ): Promise<ReplicaStream> {
    const messages = callServerStream(
      this.#data.get(peer.address),
      nameOf(peer),
      StreamReplica,
      { chunkId, pieceIndex, token, keeperId: this.#selfId },
      options,
    );
    const first = await messages.next();
    const header = checkPresent(first.done === true ? null : first.value.header, 'the header of a replica');
    const spec = {
      uploadId: checkId(header.uploadId, 'header.upload_id'),
      lengthBytes: checkInteger(header.length, 'header.length', 1, limits.maxChunkSizeBytes),
      blockSizeBytes: checkBlockSize(header.blockSizeBytes),
    };
    let digest: Buffer | undefined;
    const runs = runsOf(messages, (footer) => {
      digest = footer;
    });
    return { spec, runs, digest: () => digest };
  }

  close(): void {
    this.#control.close();
    this.#data.close();
  }
}

/** The blocks after the header; a stream without a footer at its end is not whole. */
async function* runsOf(
  messages: AsyncGenerator<Received<StreamReplicaResponseOutput>, void, undefined>,
  onFooter: (digest: Buffer) => void,
): AsyncGenerator<BlockRun> {
  let whole = false;
  for await (const message of messages) {
    if (whole) throw new HoldfastError('INVALID_ARGUMENT', 'the replica goes on after its footer');
    if (message.blocks) yield readBlockRun(message.blocks);
    else if (message.footer) {
      onFooter(checkDigest(message.footer.digest));
      whole = true;
    } else throw new HoldfastError('INVALID_ARGUMENT', 'the replica holds something that is not a block');
  }
  if (!whole) throw new HoldfastError('UNAVAILABLE', 'the replica ended without its footer');
}
