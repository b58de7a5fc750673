import { afterEach, describe, expect, it } from '@jest/globals';
import type { Server } from '@grpc/grpc-js';
import {
  type ChunkServiceHandlers,
  keeperV1,
  type NamespaceServiceHandlers,
  trackerV1,
} from '@holdfast/proto';
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { HoldfastError } from '../../src/errors/index.js';
import {
  callClientStream,
  callServerStream,
  callUnary,
  clientStream,
  controlChannelOptions,
  createServer,
  dataChannelOptions,
  fromErrorDetail,
  listen,
  PeerChannel,
  serverStream,
  shutDown,
  unary,
  wireText,
  writeMessage,
} from '../../src/grpc/index.js';

const { GetEntry } = trackerV1.NamespaceService.service;
const { ReadChunk, WriteChunk } = keeperV1.ChunkService.service;
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serve(register: (server: Server) => void): Promise<PeerChannel> {
  const server = createServer({ maxMessageBytes: 2 ** 20 });
  register(server);
  const address = await listen(server, '127.0.0.1:0');
  const channel = new PeerChannel(address, dataChannelOptions);
  cleanUps.push(() => shutDown(server, 100));
  cleanUps.push(() => channel.close());
  return channel;
}

function withGetEntry(getEntry: NamespaceServiceHandlers['GetEntry']): Promise<PeerChannel> {
  return serve((server) => {
    server.addService(trackerV1.NamespaceService.service, { GetEntry: getEntry });
  });
}

function withChunks(handlers: Partial<ChunkServiceHandlers>): Promise<PeerChannel> {
  return serve((server) => {
    server.addService(keeperV1.ChunkService.service, handlers as ChunkServiceHandlers);
  });
}

/** Of calls that are to be answered: longer than a machine stands still. */
const deadline = { deadlineMs: 60_000 };

describe('callUnary and unary', () => {
  it('bring an answer', async () => {
    const channel = await withGetEntry(
      unary((request) => Promise.resolve({ entry: { path: request.path, sizeBytes: 2 ** 40 } })),
    );
    const answer = await callUnary(channel, 'test', GetEntry, { path: '/ü' }, deadline);
    expect(answer.entry).toMatchObject({ path: '/ü', sizeBytes: 2 ** 40 });
  });

  it('bring an error whole, however odd its text', async () => {
    const thrown = new HoldfastError(
      'NOT_ENOUGH_KEEPERS',
      `half an emoji \ud83d ${'long '.repeat(100_000)}`,
      {
        remedy: 'Start a keeper.',
        retryAfterMs: 250,
        facts: { live_keepers: 1 },
      },
    );
    const channel = await withGetEntry(unary(() => Promise.reject(thrown)));
    await expect(callUnary(channel, 'test', GetEntry, { path: '/' }, deadline)).rejects.toMatchObject({
      code: 'NOT_ENOUGH_KEEPERS',
      message: wireText(thrown.message),
      remedy: 'Start a keeper.',
      retryable: true,
      retryAfterMs: 250,
      facts: { live_keepers: '1' },
    });
  });

  it('hide the text of a defect', async () => {
    const channel = await withGetEntry(unary(() => Promise.reject(new Error('/secret/path exploded'))));
    await expect(callUnary(channel, 'test', GetEntry, { path: '/' }, deadline)).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.not.stringContaining('secret'),
    });
  });

  it('end at the deadline and at an abort, and the handler hears of it', async () => {
    const cancels: Promise<void>[] = [];
    const channel = await withGetEntry(
      unary((_request, signal) => {
        cancels.push(new Promise((resolve) => signal.addEventListener('abort', () => resolve())));
        return new Promise(() => undefined);
      }),
    );
    // Where the machine stands still for as long, a call may be over before it has come to the handler.
    while (cancels.length === 0) {
      await expect(
        callUnary(channel, 'test', GetEntry, { path: '/' }, { deadlineMs: 200 }),
      ).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true });
    }
    const controller = new AbortController();
    const call = callUnary(
      channel,
      'test',
      GetEntry,
      { path: '/' },
      { ...deadline, signal: controller.signal },
    );
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    await Promise.all(cancels);
  });

  it('say that nobody is there', async () => {
    const channel = new PeerChannel('127.0.0.1:1', controlChannelOptions);
    cleanUps.push(() => channel.close());
    await expect(callUnary(channel, 'tracker', GetEntry, { path: '/' }, deadline)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('tracker'),
    });
  });

  it('refuse a message past the limit without taking the process down', async () => {
    const channel = await withGetEntry(unary(() => Promise.resolve({})));
    await expect(
      callUnary(channel, 'test', GetEntry, { path: 'x'.repeat(2 ** 22) }, deadline),
    ).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await expect(callUnary(channel, 'test', GetEntry, { path: '/' }, deadline)).resolves.toBeDefined();
  });
});

describe('PeerChannel', () => {
  it('opens a new socket when a peer accepts and never speaks', async () => {
    const sockets: Socket[] = [];
    const silent: TcpServer = createTcpServer((socket) => sockets.push(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const channel = new PeerChannel(`127.0.0.1:${port}`, controlChannelOptions);
    cleanUps.push(() => channel.close());
    cleanUps.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => silent.close(resolve));
    });
    // The third one, unless the machine stood still until a call was over that had not come to a socket yet.
    for (let call = 0; call < 3 || (call < 100 && sockets.length < 2); call += 1) {
      await expect(
        callUnary(channel, 'test', GetEntry, { path: '/' }, { deadlineMs: 150 }),
      ).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    }
    expect(sockets.length).toBeGreaterThanOrEqual(2);
  });
});

describe('server streams', () => {
  it('arrive in order, and a failure comes after what was sent', async () => {
    const channel = await withChunks({
      ReadChunk: serverStream(async (_request, send) => {
        for (let offset = 0; offset < 50; offset += 1) {
          await send({ blocks: { offset, data: Buffer.alloc(10_000), checksums: [2 ** 32 - 1] } });
        }
        throw new HoldfastError('CHECKSUM_MISMATCH', 'block 50 is bad');
      }),
    });
    const offsets: number[] = [];
    const read = async (): Promise<void> => {
      for await (const { blocks } of callServerStream(channel, 'test', ReadChunk, {}, deadline)) {
        expect(blocks?.checksums).toEqual([2 ** 32 - 1]);
        offsets.push(blocks?.offset ?? -1);
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' });
    expect(offsets).toEqual(Array.from({ length: 50 }, (_, index) => index));
  });

  it('stop the sender when the reader leaves, with a bounded amount under way', async () => {
    let sent = 0;
    let ended: (reason: unknown) => void = () => undefined;
    const end = new Promise((resolve) => (ended = resolve));
    const channel = await withChunks({
      ReadChunk: serverStream(async (_request, send) => {
        try {
          for (;;) {
            await send({ blocks: { offset: sent, data: Buffer.alloc(100_000), checksums: [] } });
            sent += 1;
          }
        } catch (error) {
          ended(error);
          throw error;
        }
      }),
    });
    for await (const message of callServerStream(channel, 'test', ReadChunk, {}, deadline)) {
      expect(message.blocks).toBeDefined();
      // A sender that does not wait would send a message in each turn.
      for (let turn = 0; turn < 1_000; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      break;
    }
    await expect(end).resolves.toMatchObject({ code: 'CANCELLED' });
    // The window (4 MiB) and what the streams of both sides hold.
    expect(sent * 100_000).toBeLessThan(16 * 2 ** 20);
  });
});

describe('a server stream that nobody reads on', () => {
  it('gives its place on the channel back when it is cancelled', async () => {
    const channel = await withChunks({
      ReadChunk: serverStream(async (_request, send, signal) => {
        await send({ blocks: { offset: 0, data: Buffer.alloc(10), checksums: [] } });
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      }),
    });
    const signs: string[] = [];
    const begin = channel.begin.bind(channel);
    channel.begin = () => {
      const slot = begin();
      return { ...slot, ended: (sign) => void signs.push(sign) };
    };
    const abort = new AbortController();
    const options = { ...deadline, signal: abort.signal };
    await callServerStream(channel, 'test', ReadChunk, { chunkId: 'a'.repeat(32) }, options).next();
    expect(signs).toEqual([]);
    abort.abort();
    while (signs.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(signs).toEqual(['none']);
  });
});

describe('client streams', () => {
  it('are read to the end and answered once', async () => {
    const channel = await withChunks({
      WriteChunk: clientStream(async (messages) => {
        let bytes = 0;
        for await (const message of messages) {
          bytes += (message as { blocks?: { data: Buffer } }).blocks?.data.length ?? 0;
        }
        return { receipts: [{ length: bytes }] };
      }),
    });
    const { stream, response } = callClientStream(channel, 'test', WriteChunk, deadline);
    for (let index = 0; index < 20; index += 1) {
      await writeMessage(stream, { blocks: { offset: index, data: Buffer.alloc(50_000) } });
    }
    stream.end();
    expect((await response).receipts[0]?.length).toBe(1_000_000);
  });

  it('let a writer go when the server refuses early', async () => {
    const channel = await withChunks({
      WriteChunk: clientStream(() => Promise.reject(new HoldfastError('OUT_OF_SPACE', 'full'))),
    });
    const { stream, response } = callClientStream(channel, 'test', WriteChunk, deadline);
    const write = async (): Promise<void> => {
      for (;;) await writeMessage(stream, { blocks: { data: Buffer.alloc(500_000) } });
    };
    await expect(write()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(response).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
  });
});

describe('listen', () => {
  it('says that a port is taken', async () => {
    const taken = createServer({ maxMessageBytes: 1_000 });
    const address = await listen(taken, '127.0.0.1:0');
    cleanUps.push(() => shutDown(taken, 0));
    await expect(listen(createServer({ maxMessageBytes: 1_000 }), address)).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
    });
  });
});

describe('fromErrorDetail', () => {
  it('keeps no more of what a peer says than this side would have said', () => {
    const text = 'a'.repeat(100_000);
    const detail = { code: 'ERROR_CODE_DISK_FAILED' as const, message: text, remedy: text };
    const { message, remedy } = fromErrorDetail({ ...detail, retryable: false, retryAfterMs: 0, facts: {} });
    expect(message.length + remedy.length).toBeLessThanOrEqual(2_048);
  });
});

it('an error that a peer sends without a word is told in words', () => {
  const silent = { message: '', remedy: '', retryable: false, retryAfterMs: 0, facts: {} };
  const error = fromErrorDetail({ ...silent, code: 'ERROR_CODE_NOT_FOUND' });
  expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('without saying why') });
});

describe('wireText', () => {
  it.each(['', 'short', 'ü'.repeat(1_000), '😀'.repeat(1_000), '\ud83d'.repeat(2_000), 'a'.repeat(1_024)])(
    'is well-formed and short',
    (text) => {
      const wired = wireText(text);
      expect(wired.isWellFormed()).toBe(true);
      expect(Buffer.byteLength(wired)).toBeLessThanOrEqual(1_024);
    },
  );
});

describe('a channel whose calls the caller gave up', () => {
  it('is rebuilt when they were given up because the peer was silent', async () => {
    const sockets = new Set<Socket>();
    const silent = createTcpServer((socket) => sockets.add(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const channel = new PeerChannel(`127.0.0.1:${port}`, dataChannelOptions);
    cleanUps.push(() => void silent.close());
    cleanUps.push(() => sockets.forEach((socket) => socket.destroy()));
    cleanUps.push(() => channel.close());
    const giveUp = async (reason: unknown, kind: 'unary' | 'stream'): Promise<void> => {
      const abort = new AbortController();
      const options = { ...deadline, signal: abort.signal };
      const request = { chunkId: 'a'.repeat(32) };
      const call =
        kind === 'unary'
          ? callUnary(channel, 'test', GetEntry, { path: '/' }, options)
          : callServerStream(channel, 'test', ReadChunk, request, options).next();
      setTimeout(() => abort.abort(reason), 20);
      await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/CANCELLED|DEADLINE/) });
    };
    /** Which connection a call would have now. */
    const connection = (): unknown => {
      const slot = channel.begin();
      slot.ended('none');
      return slot.client;
    };
    const first = connection();
    const stalled = new HoldfastError('DEADLINE_EXCEEDED', 'nothing came');
    await giveUp(stalled, 'unary');
    await giveUp(undefined, 'unary');
    expect(connection()).toBe(first);
    await giveUp(stalled, 'stream');
    expect(connection()).not.toBe(first);
  });
});
