/** What a gate lets pass: each of its faults is felt on its way, and on no other. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { Gate } from '../src/gate.js';

let server: Server;
let gate: Gate;
let address: string;
/** The server's ends of the connections, and what came to them. */
let accepted: Socket[];
let heard: string;
/** The clients' ends. */
let sockets: Socket[];

beforeEach(async () => {
  [accepted, heard, sockets] = [[], '', []];
  server = createServer((socket) => {
    accepted.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (part) => {
      heard += String(part);
      socket.write(`re:${String(part)}`);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  gate = new Gate();
  gate.target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  address = await gate.listen('127.0.0.1:0');
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await gate.close();
  server.close();
});

interface End {
  readonly socket: Socket;
  /** All that came. */
  text: string;
  /** 'ECONNRESET', or '' for an end in order. */
  ended: string | undefined;
}

async function connected(): Promise<End> {
  const socket = connect({ host: '127.0.0.1', port: Number(address.split(':')[1]) });
  sockets.push(socket);
  const end: End = { socket, text: '', ended: undefined };
  socket.on('data', (part) => (end.text += String(part)));
  socket.on('error', (error: NodeJS.ErrnoException) => (end.ended = error.code));
  socket.on('close', () => (end.ended ??= ''));
  await once(socket, 'connect');
  return end;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Long enough for anything that passes to have passed. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 100));

it('in silence nothing passes, not even an end, and then all that waited', async () => {
  const [one, other] = [await connected(), await connected()];
  one.socket.write('a');
  other.socket.write('b');
  await until(() => one.text === 're:a' && other.text === 're:b');
  gate.fault = { silent: 'both' };
  one.socket.write('c');
  other.socket.resetAndDestroy();
  await pause();
  expect([heard, one.text, accepted.some(({ destroyed }) => destroyed)]).toEqual(['ab', 're:a', false]);
  gate.fault = {};
  await until(() => one.text === 're:are:c' && accepted.some(({ destroyed }) => destroyed));
});

it('whoever is deaf still speaks, and whoever is mute still hears', async () => {
  const end = await connected();
  end.socket.write('a');
  await until(() => end.text === 're:a');
  gate.fault = { silent: 'in' };
  end.socket.write('b');
  accepted[0]!.write('!');
  await until(() => end.text === 're:a!');
  await pause();
  expect(heard).toBe('a');
  gate.fault = { silent: 'out' };
  await until(() => heard === 'ab');
  await pause();
  expect(end.text).toBe('re:a!');
  gate.fault = {};
  await until(() => end.text === 're:a!re:b');
});

it('a fault befalls only the connections that it is for', async () => {
  const ends = [await connected(), await connected()];
  await until(() => accepted.length === 2);
  let asked = 0;
  gate.fault = { silent: 'both', befalls: () => asked++ % 2 === 0 };
  for (const { socket } of ends) socket.write('a');
  await until(() => ends.some(({ text }) => text === 're:a'));
  await pause();
  expect(ends.map(({ text }) => text).sort()).toEqual(['', 're:a']);
});

it('resets a connection after so many bytes, and refuses', async () => {
  const end = await connected();
  gate.fault = { resetAfterBytes: () => 10 };
  end.socket.write('abc');
  await until(() => end.text === 're:abc');
  end.socket.write('abcdef');
  await until(() => end.ended === 'ECONNRESET');
  gate.fault = { resetAfterBytes: () => 0 };
  const refused = await connected().catch(() => undefined);
  await until(() => refused === undefined || refused.ended !== undefined);
  gate.fault = {};
  const again = await connected();
  again.socket.write('d');
  await until(() => again.text === 're:d');
});

it('lets so many bytes a second pass', async () => {
  const end = await connected();
  gate.fault = { bytesPerS: 1_000 };
  const startMs = performance.now();
  end.socket.write('x'.repeat(300));
  await until(() => heard.length === 300);
  expect(performance.now() - startMs).toBeGreaterThan(290);
});
