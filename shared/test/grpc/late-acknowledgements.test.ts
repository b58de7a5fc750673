/** A connection on which answers take long, and whose server changes its mind about windows meanwhile. */
import { afterEach, expect, it } from '@jest/globals';
import { keeperV1 } from '@holdfast/proto';
import { connect } from 'node:http2';
import { createConnection, createServer as tcpServer, type Socket } from 'node:net';
import { createServer, listen, serverStream } from '../../src/grpc/index.js';
const { ReadChunk } = keeperV1.ChunkService.service;
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const until = async (c: () => boolean) => {
  while (!c()) await new Promise((r) => setImmediate(r));
};

it('a connection whose answers are late keeps its streams', async () => {
  const server = createServer({ maxMessageBytes: 1_000 });
  let running = 0;
  server.addService(
    { ReadChunk },
    {
      ReadChunk: serverStream(async (_r, _s, signal: AbortSignal) => {
        running += 1;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        running -= 1;
      }),
    },
  );
  const address = await listen(server, '127.0.0.1:0');
  closers.push(() => server.forceShutdown());
  const [host, port] = address.split(':') as [string, string];
  let held = false;
  const proxy = tcpServer((socket: Socket) => {
    const up = createConnection(Number(port), host);
    socket.pipe(up);
    up.on('data', (data) => {
      if (!held) socket.write(data);
    });
    for (const s of [socket, up]) s.on('error', () => undefined);
    up.on('close', () => socket.destroy());
    closers.push(() => {
      socket.destroy();
      up.destroy();
    });
  });
  await new Promise<void>((r) => proxy.listen(0, '127.0.0.1', r));
  closers.push(() => proxy.close());
  const session = connect(`http://127.0.0.1:${(proxy.address() as { port: number }).port}`);
  session.on('error', () => undefined);
  let closed = false;
  session.on('close', () => (closed = true));
  closers.push(() => session.destroy());
  const begin = () => {
    const stream = session.request({
      ':method': 'POST',
      ':path': ReadChunk.path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined);
    stream.end(Buffer.alloc(5));
    return stream;
  };
  for (let n = 1; n <= 15; n += 1) {
    begin();
    await until(() => running === n);
  }
  // What the server says takes long from here on.
  held = true;
  for (let round = 0; round < 8 && !closed; round += 1) {
    const two = [begin()];
    await until(() => running === 16 || closed);
    two.push(begin());
    await until(() => running === 17 || closed);
    for (const stream of two) stream.close(8);
    await until(() => running === 15 || closed);
  }
  expect([closed, running]).toEqual([false, 15]);
});
