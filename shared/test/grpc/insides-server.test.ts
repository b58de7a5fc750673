/** The insides of grpc-js that insides/server.ts leans on: these tests fail when they change. */
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Server } from '@grpc/grpc-js';
import { keeperV1 } from '@holdfast/proto';
import { connect } from 'node:http2';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { HoldfastError } from '../../src/index.js';
import {
  PeerChannel,
  callClientStream,
  callServerStream,
  clientStream,
  createServer,
  cutOff,
  dataChannelOptions,
  listen,
  serverStream,
  shutDown,
  writeMessage,
} from '../../src/grpc/index.js';
import { flowControlWindowBytes } from '../../src/grpc/insides/server.js';

const { WriteChunk, ReadChunk } = keeperV1.ChunkService.service;
const run = { offset: 0, checksums: [], data: Buffer.alloc(256 * 1024) };
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function serve(server: Server): Promise<string> {
  const address = await listen(server, '127.0.0.1:0');
  closers.push(() => server.forceShutdown());
  return address;
}

async function untilAsync(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('the insides of grpc-js', () => {
  it('a server has wide windows for few streams, and narrow ones for those that are more', async () => {
    const server = createServer({ maxMessageBytes: 1_000 });
    let running = 0;
    const untilAborted = async (signal: AbortSignal): Promise<void> => {
      running += 1;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      running -= 1;
    };
    server.addService(
      { ReadChunk },
      { ReadChunk: serverStream((_request, _send, signal) => untilAborted(signal)) },
    );
    const address = await serve(server);
    const open = () => {
      const session = connect(`http://${address}`);
      closers.push(() => session.destroy());
      const windows: (number | undefined)[] = [];
      session.on('remoteSettings', (settings: { initialWindowSize?: number }) => {
        windows.push(settings.initialWindowSize);
      });
      const begin = (): void => {
        const stream = session.request({
          ...{ ':method': 'POST', ':path': ReadChunk.path },
          ...{ 'content-type': 'application/grpc', te: 'trailers' },
        });
        stream.on('error', () => undefined);
        stream.end(Buffer.alloc(5));
      };
      return { session, windows, begin };
    };
    const connections = Array.from({ length: 17 }, open);
    for (const [index, { session, windows, begin }] of connections.entries()) {
      await until(() => windows.length === 1);
      await until(() => (session.state.remoteWindowSize ?? 0) >= flowControlWindowBytes);
      begin();
      if (index < 16) await until(() => windows.length === 2);
    }
    const last = connections[16]!;
    // When an answer to what was sent after the stream has come, so have settings.
    await new Promise<void>((resolve, reject) => {
      last.session.ping((error) => (error ? reject(error) : resolve()));
    });
    const narrow = 512 * 1024;
    expect(connections[0]!.windows).toEqual([narrow, flowControlWindowBytes]);
    expect(last.windows).toEqual([narrow]);
    // With the others gone, the next stream there has a wide one.
    for (const { session } of connections.slice(0, 16)) session.destroy();
    await until(() => running === 1);
    last.begin();
    await until(() => last.windows.at(-1) === flowControlWindowBytes);
  });

  it('a server closes the connection that is one too many, and takes another when one has gone', async () => {
    const address = await serve(createServer({ maxMessageBytes: 1_000, maxConnections: 2 }));
    const open = () => {
      const socket = createConnection(Number(address.split(':')[1]), '127.0.0.1');
      closers.push(() => socket.destroy());
      socket.on('error', () => undefined);
      // A server that keeps the connection greets it with its HTTP/2 settings.
      const kept = new Promise<boolean>((resolve) => {
        socket.once('data', () => resolve(true));
        socket.once('close', () => resolve(false));
      });
      return { socket, kept };
    };
    const first = open();
    expect([await first.kept, await open().kept, await open().kept]).toEqual([true, true, false]);
    first.socket.destroy();
    await untilAsync(async () => open().kept);
  });

  it('a server that does not read takes few messages off a client stream', async () => {
    const server = createServer({ maxMessageBytes: 2 * 1024 * 1024 });
    let ahead: (() => number) | undefined;
    server.addService(
      { WriteChunk },
      {
        WriteChunk: clientStream(async (messages, signal) => {
          messages.read(0);
          ahead = () => messages.readableLength;
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          return {};
        }),
      },
    );
    const channel = new PeerChannel(await serve(server), dataChannelOptions);
    closers.push(() => channel.close());
    const { stream } = callClientStream(channel, 'peer', WriteChunk, { deadlineMs: 60_000 });
    for (let i = 0; i < 12; i += 1) stream.write({ blocks: run });
    await until(() => (ahead?.() ?? 0) > 0);
    for (let i = 0; i < 200; i += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(ahead?.()).toBeLessThanOrEqual(2);
    stream.cancel();
  });

  it('a client that does not read holds the server back', async () => {
    const server = createServer({ maxMessageBytes: 2 * 1024 * 1024 });
    let sent = 0;
    server.addService(
      { ReadChunk },
      {
        ReadChunk: serverStream(async (_request, send) => {
          for (; sent < 200; sent += 1) await send({ blocks: run });
        }),
      },
    );
    const channel = new PeerChannel(await serve(server), dataChannelOptions);
    closers.push(() => channel.close());
    const stream = callServerStream(channel, 'peer', ReadChunk, {}, { deadlineMs: 60_000 });
    await stream.next();
    let before = -1;
    while (sent !== before) {
      before = sent;
      for (let i = 0; i < 500; i += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    // The windows' worth, what the sockets hold, and one message a side.
    expect(sent).toBeLessThan(100);
    await stream.return(undefined);
  });

  it('a call that is given up while nobody takes its messages ends at once', async () => {
    const server = createServer({ maxMessageBytes: 2 * 1024 * 1024 });
    let over = false;
    server.addService(
      { ReadChunk },
      {
        ReadChunk: serverStream(async (_request, send, signal) => {
          signal.addEventListener('abort', () => {
            over = true;
          });
          await send({ blocks: run });
          // More than the window: the last one waits until the client reads.
          const long = { ...run, data: Buffer.alloc(flowControlWindowBytes / 4) };
          const sends = Array.from({ length: 8 }, () => send({ blocks: long }));
          for (const sent of sends) sent.catch(() => undefined);
          throw new HoldfastError('DEADLINE_EXCEEDED', 'the client took nothing');
        }),
      },
    );
    const channel = new PeerChannel(await serve(server), dataChannelOptions);
    closers.push(() => channel.close());
    const stream = callServerStream(channel, 'peer', ReadChunk, {}, { deadlineMs: 60_000 });
    await stream.next();
    await until(() => over);
    const readAll = async (): Promise<void> => {
      while ((await stream.next()).done !== true);
    };
    await expect(readAll()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  it('a server that is cut off looks like one that was killed', async () => {
    const server = createServer({ maxMessageBytes: 1_000 });
    let called = false;
    server.addService(
      { ReadChunk },
      {
        ReadChunk: serverStream(async (_request, _send, signal) => {
          called = true;
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }),
      },
    );
    const channel = new PeerChannel(await serve(server), dataChannelOptions);
    closers.push(() => channel.close());
    const ended = callServerStream(channel, 'peer', ReadChunk, {}, { deadlineMs: 60_000 }).next();
    await Promise.all([
      until(() => called).then(() => cutOff(server)),
      expect(ended).rejects.toMatchObject({ code: 'UNAVAILABLE' }),
    ]);
  });

  it('a server that shuts down does not wait for a peer that never closes its connection', async () => {
    const server = createServer({ maxMessageBytes: 1_000 });
    const [, port] = (await serve(server)).split(':');
    const peer = createConnection({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true });
    peer.on('error', () => undefined).resume();
    closers.push(() => void peer.destroy());
    peer.write(
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        Buffer.alloc(9, '\0\0\0\x04\0\0\0\0\0'),
      ]),
    );
    await once(peer, 'data');
    await shutDown(server, 100);
  });

  it('a message for a call that is over is refused and not waited with', async () => {
    const server = createServer({ maxMessageBytes: 1_000 });
    server.addService({ WriteChunk }, { WriteChunk: clientStream(() => Promise.resolve({})) });
    const channel = new PeerChannel(await serve(server), dataChannelOptions);
    closers.push(() => channel.close());
    const { stream, response } = callClientStream(channel, 'peer', WriteChunk, { deadlineMs: 60_000 });
    await response;
    await expect(writeMessage(stream, { blocks: { offset: 0 } })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});
