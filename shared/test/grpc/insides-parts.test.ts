/** The insides of grpc-js that insides/parts.ts leans on: these tests fail when they change. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { keeperV1 } from '@holdfast/proto';
import { ByteParts, type Bytes, joinBytes } from '../../src/domain/bytes.js';
import {
  PeerChannel,
  callClientStream,
  callServerStream,
  clientStream,
  createServer,
  dataChannelOptions,
  listen,
  requestBlocks,
  responseBlocks,
  serverStream,
  writeMessage,
} from '../../src/grpc/index.js';

const { service } = keeperV1.ChunkService;
const plain = { WriteChunk: service.WriteChunk, ReadChunk: service.ReadChunk };
const parted = {
  WriteChunk: requestBlocks(service.WriteChunk),
  ReadChunk: responseBlocks(service.ReadChunk),
};
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Different bytes in every run, so that runs and parts cannot be mistaken for one another. */
const runs = [1_000_000, 1_048_576, 40_000, 100, 32_768].map((length, index) => ({
  offset: index * 2 ** 20,
  checksums: [index],
  data: Buffer.alloc(length, `run ${index} of some length; `),
}));

interface Blocks {
  readonly blocks?: { readonly data: Bytes } | null;
}

function channelTo(address: string): PeerChannel {
  const channel = new PeerChannel(address, dataChannelOptions);
  closers.push(() => channel.close());
  return channel;
}

type Send = (message: { blocks: { offset: number; checksums: number[]; data: Buffer } }) => Promise<void>;

/** A server that takes messages in parts; `got` is what the last of them held. `read` answers ReadChunk. */
async function serveParted(
  read: (request: unknown, send: Send) => Promise<void> = () => Promise.resolve(),
): Promise<{ address: string; got: () => Bytes }> {
  let got: Bytes = Buffer.alloc(0);
  const server = createServer({ maxMessageBytes: 2 ** 21 });
  server.addService(parted, {
    WriteChunk: clientStream(async (messages) => {
      for await (const { blocks } of messages as AsyncIterable<Blocks>) if (blocks) got = blocks.data;
      return {};
    }),
    ReadChunk: serverStream(read),
  });
  closers.push(() => server.forceShutdown());
  return { address: await listen(server, '127.0.0.1:0'), got: () => got };
}

/** Sends all runs both ways and gives what came: to the server, and to the client. */
async function exchange(server: typeof plain | typeof parted, client: typeof plain | typeof parted) {
  const [toServer, toClient]: [Bytes[], Bytes[]] = [[], []];
  const grpcServer = createServer({ maxMessageBytes: 2 ** 21 });
  grpcServer.addService(server, {
    WriteChunk: clientStream(async (messages) => {
      for await (const { blocks } of messages as AsyncIterable<Blocks>)
        if (blocks) toServer.push(blocks.data);
      return {};
    }),
    ReadChunk: serverStream(async (_request, send) => {
      for (const blocks of runs) await send({ blocks });
    }),
  });
  closers.push(() => grpcServer.forceShutdown());
  const channel = channelTo(await listen(grpcServer, '127.0.0.1:0'));
  const deadline = { deadlineMs: 60_000 };
  const { stream, response } = callClientStream(
    channel,
    'peer',
    client.WriteChunk as typeof plain.WriteChunk,
    deadline,
  );
  for (const blocks of runs) await writeMessage(stream, { blocks });
  stream.end();
  await response;
  for await (const { blocks } of callServerStream(channel, 'peer', client.ReadChunk, {}, deadline)) {
    if (blocks) toClient.push(blocks.data);
  }
  return { toServer, toClient };
}

const partsOfEach = (all: Bytes[]): number[] =>
  all.map((bytes) => (bytes instanceof ByteParts ? bytes.parts.length : 0));

describe('messages in parts', () => {
  it('come in parts when they are large and both ends know how, and joined when they are small', async () => {
    const { toServer, toClient } = await exchange(parted, parted);
    for (const got of [toServer, toClient]) {
      expect(
        got.map((bytes) => joinBytes(bytes).equals(runs[got.indexOf(bytes)]?.data ?? Buffer.alloc(0))),
      ).toEqual(runs.map(() => true));
      const counts = partsOfEach(got);
      expect(counts[0]).toBeGreaterThan(10);
      expect(counts[1]).toBeGreaterThan(10);
      expect(counts[3]).toBe(0);
    }
  });

  it('are the same to peers that know nothing of parts', async () => {
    for (const [server, client] of [
      [plain, parted],
      [parted, plain],
    ] as const) {
      const { toServer, toClient } = await exchange(server, client);
      for (const got of [toServer, toClient]) {
        expect(got.map((bytes) => joinBytes(bytes).toString('latin1'))).toEqual(
          runs.map(({ data }) => data.toString('latin1')),
        );
      }
    }
  });

  it('come joined when they came in tiny parts, which cost far more memory than their bytes', async () => {
    const data = Buffer.alloc(2 ** 17, 'in many small frames; ');
    const { address, got } = await serveParted();
    const session = connect(`http://${address}`);
    closers.push(() => session.destroy());
    const stream = session.request({
      ':method': 'POST',
      ':path': service.WriteChunk.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const message = service.WriteChunk.requestSerialize({ blocks: { offset: 0, checksums: [], data } });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const frame = Buffer.concat([prefix, message]);
    for (let at = 0; at < frame.length; at += 100) {
      // One at a time, or HTTP/2 would send several in one frame.
      await new Promise((resolve) => stream.write(frame.subarray(at, at + 100), resolve));
    }
    stream.end();
    await once(stream.resume(), 'close');
    expect(joinBytes(got()).equals(data)).toBe(true);
    expect(got()).not.toBeInstanceOf(ByteParts);
  });

  it('may be overwritten once they are written, also before there is a connection', async () => {
    // Less than grpc-js would keep for retries.
    const data = Buffer.alloc(300_000, 'old');
    const { address, got } = await serveParted();
    const channel = channelTo(address);
    const { stream, response } = callClientStream(channel, 'peer', parted.WriteChunk, { deadlineMs: 60_000 });
    await writeMessage(stream, { blocks: { offset: 0, checksums: [], data } });
    data.fill('new');
    stream.end();
    await response;
    expect(joinBytes(got()).equals(Buffer.alloc(300_000, 'old'))).toBe(true);
  });

  it('go out without a copy: what changes before HTTP/2 has taken it, changes on the wire', async () => {
    const data = Buffer.alloc(1_000_000, 'old');
    const { address, got } = await serveParted(async (_request, send) => {
      const sending = send({ blocks: { offset: 0, checksums: [], data } });
      data.fill('new');
      await sending;
    });
    const channel = channelTo(address);
    for await (const { blocks } of callServerStream(
      channel,
      'peer',
      parted.ReadChunk,
      {},
      { deadlineMs: 60_000 },
    )) {
      expect(joinBytes(blocks?.data ?? Buffer.alloc(0)).equals(Buffer.alloc(1_000_000, 'new'))).toBe(true);
    }
    data.fill('old');
    const { stream, response } = callClientStream(channel, 'peer', parted.WriteChunk, { deadlineMs: 60_000 });
    const writing = writeMessage(stream, { blocks: { offset: 0, checksums: [], data } });
    data.fill('new');
    await writing;
    stream.end();
    await response;
    expect(joinBytes(got()).equals(Buffer.alloc(1_000_000, 'new'))).toBe(true);
  });

  it.each([
    ['server', 'it rests'],
    ['server', 'the sender rests'],
    ['client', 'it rests'],
    ['client', 'the sender rests'],
  ])('come whole and in order to a %s where %s between them', async (who, resting) => {
    const many = Array.from({ length: 24 }, (_, index) => ({
      ...{ offset: index * 2 ** 20, checksums: [index] },
      data: Buffer.alloc(700_000 + index * 997, `run ${index}; `),
    }));
    const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
    const taken: Buffer[] = [];
    const takeAll = async (messages: AsyncIterable<Blocks>): Promise<void> => {
      for await (const { blocks } of messages) {
        if (resting === 'it rests' && taken.length % 3 === 0) await rest();
        taken.push(joinBytes(blocks?.data ?? Buffer.alloc(0)));
      }
    };
    const sendAll = async (send: Send): Promise<void> => {
      for (const [index, blocks] of many.entries()) {
        // Until all before is taken: the receiver asks, and there is nothing.
        while (resting === 'the sender rests' && taken.length < index) await rest();
        await send({ blocks });
      }
    };
    const server = createServer({ maxMessageBytes: 2 ** 21 });
    server.addService(parted, {
      WriteChunk: clientStream(async (messages) => {
        await takeAll(messages as AsyncIterable<Blocks>);
        return {};
      }),
      ReadChunk: serverStream((_request, send: Send) => sendAll(send)),
    });
    closers.push(() => server.forceShutdown());
    const channel = channelTo(await listen(server, '127.0.0.1:0'));
    const deadline = { deadlineMs: 60_000 };
    if (who === 'server') {
      const { stream, response } = callClientStream(channel, 'peer', parted.WriteChunk, deadline);
      await sendAll((message) => writeMessage(stream, message));
      stream.end();
      await response;
    } else await takeAll(callServerStream(channel, 'peer', parted.ReadChunk, {}, deadline));
    expect(taken.map((bytes, index) => many[index]?.data.equals(bytes))).toEqual(many.map(() => true));
  });

  it('are refused when they are too long, as by grpc-js itself', async () => {
    const long = { offset: 0, checksums: [], data: Buffer.alloc(200_000) };
    const server = createServer({ maxMessageBytes: 100_000 });
    server.addService(parted, {
      WriteChunk: clientStream(async (messages) => {
        for await (const message of messages) void message;
        return {};
      }),
      ReadChunk: serverStream((_request, send) => send({ blocks: long })),
    });
    closers.push(() => server.forceShutdown());
    const channel = channelTo(await listen(server, '127.0.0.1:0'));
    const { stream, response } = callClientStream(channel, 'peer', parted.WriteChunk, { deadlineMs: 60_000 });
    stream.write({ blocks: long });
    await expect(response).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    const reading = callServerStream(channel, 'peer', parted.ReadChunk, {}, { deadlineMs: 60_000 }).next();
    await expect(reading).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });
});
