/** What a peer does not take keeps nobody alive once its channel is closed: neither a connection nor bytes. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { createInterface } from 'node:readline';
import { PeerChannel, controlChannelOptions, dataChannelOptions } from '../../src/grpc/index.js';

const asIs = (bytes: Buffer): Buffer => bytes;
const untilIt = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
};

const servers: ChildProcess[] = [];

afterAll(() => {
  for (const server of servers) server.kill('SIGKILL');
});

/** Resolves to its port. */
async function startServer(program: string): Promise<number> {
  const server = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(server);
  const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
  return Number(line);
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
  if (streams === 2) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
server.listen(0, '127.0.0.1', () => require('node:fs').writeSync(1, server.address().port + '\\n'));`;

describe('a connection that is being made', () => {
  let port: number;
  const queued: Socket[] = [];

  beforeAll(async () => {
    port = await startServer(deafServer);
    for (;;) {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.on('error', () => undefined);
      queued.push(socket);
      const late = new Promise((resolve) => setTimeout(resolve, 500, 'late'));
      if ((await Promise.race([once(socket, 'connect'), late])) === 'late') break;
    }
  });

  afterAll(() => {
    for (const socket of queued) socket.destroy();
  });

  /** How many connections of this process are being made. */
  const connecting = (): number =>
    process.getActiveResourcesInfo().filter((name) => name.endsWith('ConnectWrap')).length;

  it.each(kinds)(
    'of a channel for %s',
    async (_name, options) => {
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
    },
    10_000,
  );
});

it('bytes that were written, but for those of a call that goes on', async () => {
  const port = await startServer(numbServer);
  const begin = () => {
    const channel = new PeerChannel(`127.0.0.1:${port}`, dataChannelOptions);
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
  await untilIt(() => writes() > 0);
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
}, 20_000);
