/** What a peer does not take keeps nobody alive once its channel is closed: neither a connection nor bytes. */
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { PeerChannel, controlChannelOptions, dataChannelOptions } from '../../src/grpc/index.js';
import { letsGoOption, patchClosing } from '../../src/grpc/insides/closing.js';

const asIs = (bytes: Buffer): Buffer => bytes;
const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
const untilIt = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await rest();
};

const servers: ChildProcess[] = [];

afterAll(() => {
  for (const server of servers) server.kill('SIGKILL');
});

/** Its port, and what tells of the next line that it writes. */
async function startServer(program: string): Promise<{ port: number; nextLine: Promise<unknown> }> {
  const server = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(server);
  const lines = createInterface({ input: server.stdout });
  const [line] = (await once(lines, 'line')) as [string];
  return { port: Number(line), nextLine: once(lines, 'line') };
}

const kinds = [
  ['control', controlChannelOptions],
  ['data', dataChannelOptions],
] as const;

/** Listens and never accepts: when its queue is full, the kernel answers nobody any more. */
const deafServer = `
const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  require('node:fs').writeSync(1, server.address().port + '\\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});`;

/** Takes two streams and then nothing more, as a machine whose cable was pulled. */
const numbServer = `
let streams = 0;
const server = require('node:http2').createServer({ settings: { initialWindowSize: 2 ** 30 } });
server.on('session', (session) => session.setLocalWindowSize(2 ** 30));
server.on('stream', () => {
  streams += 1;
  if (streams < 2) return;
  require('node:fs').writeSync(1, 'numb\\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
server.listen(0, '127.0.0.1', () => require('node:fs').writeSync(1, server.address().port + '\\n'));`;

describe('a connection that is being made', () => {
  let port: number;
  const queued: Socket[] = [];

  beforeAll(async () => {
    ({ port } = await startServer(deafServer));
    for (;;) {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.on('error', () => undefined);
      queued.push(socket);
      let isTaken = false;
      socket.once('connect', () => (isTaken = true));
      // As often as it takes to hear of it, not as long: a machine that stands still says of none that it was taken.
      for (let looks = 0; looks < 100 && !isTaken; looks += 1) await rest();
      if (!isTaken) break;
    }
  });

  afterAll(() => {
    for (const socket of queued) socket.destroy();
  });

  /** How many connections of this process are being made. */
  const connecting = (): number =>
    process.getActiveResourcesInfo().filter((name) => name.endsWith('ConnectWrap')).length;

  it.each(kinds)('of a channel for %s', async (_name, options) => {
    const before = connecting();
    const channel = new PeerChannel(`127.0.0.1:${port}`, options);
    const { client, ended } = channel.begin();
    const failed = new Promise((resolve) => {
      client.makeUnaryRequest('/a/b', asIs, asIs, Buffer.alloc(0), resolve);
    });
    await untilIt(() => connecting() > before);
    channel.close();
    ended('none');
    await failed;
    await untilIt(() => connecting() === before);
    expect(connecting()).toBe(before);
  });
});

describe('a connection whose peer says nothing', () => {
  /** Those that were accepted, once they have said something. */
  const heard: Socket[] = [];
  const silent = createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => undefined);
    socket.once('data', () => heard.push(socket));
  });
  const begin = (): { channel: PeerChannel; failed: Promise<unknown> } => {
    const { port } = silent.address() as AddressInfo;
    const channel = new PeerChannel(`127.0.0.1:${port}`, controlChannelOptions);
    const failed = new Promise((resolve) => {
      channel.begin().client.makeUnaryRequest('/a/b', asIs, asIs, Buffer.alloc(0), resolve);
    });
    return { channel, failed };
  };

  beforeAll(async () => {
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  });

  afterAll(() => {
    for (const socket of heard) socket.destroy();
    silent.close();
  });

  it('yet', async () => {
    const { channel, failed } = begin();
    await untilIt(() => heard.length > 0);
    channel.close();
    await failed;
    await untilIt(() => heard.every(({ destroyed }) => destroyed));
  });

  it('and that was not begun when its channel was closed', async () => {
    heard.length = 0;
    const closed = begin();
    closed.channel.close();
    await closed.failed;
    // One that comes later, so that the first one would have been heard.
    const later = begin();
    await untilIt(() => heard.length > 0);
    later.channel.close();
    await later.failed;
    await untilIt(() => heard.every(({ destroyed }) => destroyed));
    expect(heard).toHaveLength(1);
  });
});

it('connections that were refused, of which nothing is left', async () => {
  patchClosing();
  const { Http2SubchannelConnector } = createRequire(import.meta.url)(
    '@grpc/grpc-js/build/src/transport.js',
  ) as {
    Http2SubchannelConnector: new (target: object) => { connect(...given: unknown[]): Promise<unknown> };
  };
  let destroyed = 0;
  const secureConnector = {
    waitForReady: () => Promise.reject(new Error('as the test says')),
    destroy: () => (destroyed += 1),
  };
  const connector = new Http2SubchannelConnector({ scheme: 'dns', path: 'nowhere' });
  // As a program does that looks for a server for a day.
  for (let attempts = 0; attempts < 20_000; attempts += 1)
    await connector.connect({}, secureConnector, { [letsGoOption]: 1 }).catch(() => undefined);
  const abort = jest.spyOn(AbortController.prototype, 'abort');
  secureConnector.destroy();
  expect({ destroyed, aborted: abort.mock.calls.length }).toEqual({ destroyed: 1, aborted: 0 });
  abort.mockRestore();
  await expect(connector.connect({}, secureConnector, { [letsGoOption]: 1 })).rejects.toThrow('closed');
});

it('bytes that were written, but for those of a call that goes on', async () => {
  const { port, nextLine } = await startServer(numbServer);
  // Nobody is asked whether he is still there: 10 s pass here where the machine stands still.
  const options = { ...dataChannelOptions, 'grpc.keepalive_time_ms': 600_000 };
  const begin = () => {
    const channel = new PeerChannel(`127.0.0.1:${port}`, options);
    const { client } = channel.begin();
    let hasEnded = false;
    const call = client.makeClientStreamRequest('/a/b', asIs, asIs, () => (hasEnded = true));
    return { channel, call, hasEnded: () => hasEnded };
  };
  // What keeps the process alive; a connection without calls does not.
  const count = (kind: string): number =>
    process.getActiveResourcesInfo().filter((name) => name === kind).length;
  const sockets = (): number => count('TCPSocketWrap');
  const writes = (): number => count('SimpleWriteWrap');
  const before = sockets();

  const goesOn = begin();
  await new Promise((resolve) => goesOn.call.write(Buffer.alloc(1), resolve));
  const stuck = begin();
  for (let written = 0; written < 64; written += 1) stuck.call.write(Buffer.alloc(1024 ** 2));
  await nextLine;
  // The kernel still takes some, until its buffers are full: a write that nobody takes stays.
  for (let looks = 0; looks < 60; looks = writes() > 0 ? looks + 1 : 0) await rest();
  stuck.call.cancel();
  await untilIt(stuck.hasEnded);
  expect(writes()).toBe(1);

  goesOn.channel.close();
  stuck.channel.close();
  await untilIt(() => writes() === 0);
  expect({ sockets: sockets(), hasEnded: goesOn.hasEnded() }).toEqual({
    sockets: before + 1,
    hasEnded: false,
  });
  goesOn.call.cancel();
  await untilIt(goesOn.hasEnded);
  await untilIt(() => sockets() === before);
});
