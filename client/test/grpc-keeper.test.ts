/** Keepers over real sockets: what only a connection can show. */
import { expect, it } from '@jest/globals';
import { keeperV1 } from '@holdfast/proto';
import { limits, newId } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import {
  ChannelPool,
  clientStream,
  createServer,
  dataChannelOptions,
  listen,
  requestBlocks,
  responseBlocks,
  serverStream,
} from '@holdfast/shared/grpc';
import { firstOf } from '../src/core/signals.js';
import { createGrpcKeepers } from '../src/grpc/grpc-keeper.js';
import type { BlockRun } from '../src/ports/keeper-api.js';

const { service } = keeperV1.ChunkService;
const definition = {
  ...service,
  WriteChunk: requestBlocks(service.WriteChunk),
  ReadChunk: responseBlocks(service.ReadChunk),
};

const runBytes = limits.messageDataBytes;
const runsPerChunk = 32;

function run(index: number): BlockRun {
  return { offset: index * runBytes, checksums: [index], data: Buffer.alloc(runBytes) };
}

it('many bytes both ways at once do not stop one another', async () => {
  const server = createServer({ maxMessageBytes: limits.maxDataMessageBytes });
  server.addService(definition, {
    WriteChunk: clientStream(async (messages) => {
      for await (const message of messages) void message;
      return { receipts: [], failures: [] };
    }),
    ReadChunk: serverStream(async (_request, send) => {
      for (let index = 0; index < runsPerChunk; index += 1) await send({ blocks: run(index) });
    }),
    StatChunk: () => undefined,
  });
  const address = await listen(server, '127.0.0.1:0');
  const channels = {
    writes: new ChannelPool(dataChannelOptions),
    reads: new ChannelPool(dataChannelOptions),
  };
  const keepers = createGrpcKeepers(channels);
  const options = { signal: firstOf(AbortSignal.timeout(60_000)), deadlineMs: 60_000 };
  const keeper = { keeperId: newId(systemRandom), address, zone: '' };
  const ids = { chunkId: newId(systemRandom), uploadId: newId(systemRandom) };
  const token = Buffer.alloc(0);

  async function write(): Promise<void> {
    async function* runs(): AsyncGenerator<BlockRun> {
      for (let index = 0; index < runsPerChunk; index += 1) yield run(index);
    }
    const lengthBytes = runsPerChunk * runBytes;
    const sizes = { lengthBytes, blockSizeBytes: limits.blockSizeBytes };
    await keepers.writeChunk(keeper, { ...ids, ...sizes, followers: [], writeToken: token }, runs(), options);
  }

  async function read(): Promise<number> {
    let count = 0;
    const range = { chunkId: ids.chunkId, pieceIndex: 0, offset: 0, lengthBytes: 0, readToken: token };
    for await (const message of keepers.readChunk(keeper, range, options)) {
      if (message.kind === 'blocks') count += 1;
    }
    return count;
  }

  try {
    const six = Array.from({ length: 6 });
    const [counts] = await Promise.all([Promise.all(six.map(read)), Promise.all(six.map(write))]);
    expect(counts).toEqual(six.map(() => runsPerChunk));
  } finally {
    channels.writes.close();
    channels.reads.close();
    server.forceShutdown();
  }
}, 90_000);
