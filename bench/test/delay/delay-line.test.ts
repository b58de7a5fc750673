/** The delaying line between real sockets: every byte in order, ends that come one at a time, bounded memory. */
import { afterEach, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { joinSockets } from '../../src/delay/delay-line.js';
import { freePorts } from '../../src/delay/free-ports.js';
import { seededBytes } from '../../src/machine/files.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server, and both ends of one connection to it. */
async function connection(): Promise<{ client: Socket; server: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  return { client, server: (await accepted)[0] };
}

/** Two ends with 2 ms each way between them, and the proxy's side of the near one. */
async function delayed(): Promise<{ near: Socket; proxied: Socket; far: Socket }> {
  const left = await connection();
  const right = await connection();
  joinSockets(left.server, right.client, 2);
  return { near: left.client, proxied: left.server, far: right.server };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Reads to the end, and leaves the way back open (iterating would close it). */
async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part));
  await once(socket, 'end');
  return Buffer.concat(parts);
}

it('hands on every byte in order, and an answer that is made only after the end', async () => {
  const bytes = seededBytes(1)(4 * 1024 * 1024);
  const { near, far } = await delayed();
  near.end(bytes);
  far.end(sha256(await readAll(far)));
  expect((await readAll(near)).toString()).toBe(sha256(bytes));
});

it('holds a sender back while nobody reads, and loses nothing', async () => {
  // More than the line and the kernel's buffers on all ends hold together.
  const bytes = seededBytes(2)(64 * 1024 * 1024);
  const { near, proxied, far } = await delayed();
  const paused = once(proxied, 'pause');
  near.end(bytes); // `far` is not read yet
  await paused;
  expect(sha256(await readAll(far))).toBe(sha256(bytes));
  far.end();
  await once(near.resume(), 'end');
});

it('a connection that breaks takes the other one with it', async () => {
  const { near, far } = await delayed();
  far.resetAndDestroy();
  await new Promise((resolve) => near.once('end', resolve).once('error', resolve).resume());
  near.destroy();
});

it('free ports follow one another and can be listened on', async () => {
  const ports = await freePorts(3);
  expect(ports.map((port) => port - ports[0]!)).toEqual([0, 1, 2]);
  const own = ports.map((port) => createServer().listen(port, '127.0.0.1'));
  servers.push(...own);
  await Promise.all(own.map((server) => once(server, 'listening')));
});
