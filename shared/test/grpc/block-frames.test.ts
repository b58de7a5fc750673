/** Frames with blocks have the bytes that the generated serialiser gives, and grpc-js sends them. */
import { describe, expect, it } from '@jest/globals';
import { keeperV1 } from '@holdfast/proto';
import {
  PeerChannel,
  blockSerializer,
  callClientStream,
  callServerStream,
  clientStream,
  createServer,
  dataChannelOptions,
  listen,
  serverStream,
  writeMessage,
} from '../../src/grpc/index.js';

const { WriteChunk, ReadChunk } = keeperV1.ChunkService.service;
const { StreamReplica } = keeperV1.ReplicaService.service;

function run(length: number, offset = 65_536): { offset: number; checksums: number[]; data: Buffer } {
  const checksums = Array.from({ length: Math.ceil(length / 65_536) }, (_, i) => i * 0x0fff_ffff);
  return { offset, checksums, data: Buffer.alloc(length, 'holdfast') };
}

describe('blockSerializer', () => {
  it.each([1, 100, 127, 128, 16_383, 16_384, 65_536, 1_048_576])(
    'writes %i bytes as the contract says',
    (n) => {
      for (const offset of [0, 65_536, 2 ** 40]) {
        for (const serialize of [
          WriteChunk.requestSerialize,
          ReadChunk.responseSerialize,
          StreamReplica.responseSerialize,
        ] as ((message: object) => Buffer)[]) {
          const message = { blocks: run(n, offset) };
          const frame = blockSerializer(serialize)(message);
          const copied = Buffer.alloc(frame.length + 5);
          frame.copy(copied, 5);
          expect(frame.byteLength).toBe(frame.length);
          expect(copied.subarray(5).equals(serialize(message))).toBe(true);
        }
      }
    },
  );

  it('leaves messages without blocks, and empty ones, to the generated serialiser', () => {
    const serialize = blockSerializer(ReadChunk.responseSerialize);
    for (const message of [{}, { header: { length: 5 } }, { blocks: { offset: 1 } }]) {
      expect(serialize(message)).toEqual(ReadChunk.responseSerialize(message));
    }
  });

  it('is what grpc-js sends, from clients and from servers', async () => {
    const got: Buffer[] = [];
    const server = createServer({ maxMessageBytes: 2 ** 21 });
    server.addService(
      {
        WriteChunk,
        ReadChunk: { ...ReadChunk, responseSerialize: blockSerializer(ReadChunk.responseSerialize) },
      },
      {
        WriteChunk: clientStream(async (messages) => {
          for await (const message of messages as AsyncIterable<{ blocks: { data: Buffer } }>) {
            got.push(message.blocks.data);
          }
          return {};
        }),
        ReadChunk: serverStream(async (_request, send) => {
          await send({ blocks: run(1_000_000) });
        }),
      },
    );
    const channel = new PeerChannel(await listen(server, '127.0.0.1:0'), dataChannelOptions);
    const method = { ...WriteChunk, requestSerialize: blockSerializer(WriteChunk.requestSerialize) };
    const { stream, response } = callClientStream(channel, 'peer', method, { deadlineMs: 10_000 });
    await writeMessage(stream, { blocks: run(1_000_000) });
    stream.end();
    await response;
    for await (const message of callServerStream(channel, 'peer', ReadChunk, {}, { deadlineMs: 10_000 })) {
      got.push(message.blocks?.data ?? Buffer.alloc(0));
    }
    channel.close();
    server.forceShutdown();
    expect(got.map((data) => data.equals(run(1_000_000).data))).toEqual([true, true]);
  });
});
