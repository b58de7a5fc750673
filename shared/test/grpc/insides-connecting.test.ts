/** A connection that is being made, to a machine that does not answer, keeps nobody alive once its channel is closed. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { createInterface } from 'node:readline';
import { PeerChannel, controlChannelOptions, dataChannelOptions } from '../../src/grpc/index.js';

/** Listens and never accepts: when its queue is full, the kernel answers nobody any more. */
const deafServer = `
const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
  require('node:fs').writeSync(1, server.address().port + '\\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});`;

let server: ChildProcess;
let port: number;
const queued: Socket[] = [];

beforeAll(async () => {
  server = spawn(process.execPath, ['-e', deafServer], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: server.stdout! }), 'line')) as [string];
  port = Number(line);
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
  server.kill('SIGKILL');
});

/** How many connections of this process are being made. */
const connecting = (): number =>
  process.getActiveResourcesInfo().filter((name) => name.endsWith('ConnectWrap')).length;

it.each([
  ['control', controlChannelOptions],
  ['data', dataChannelOptions],
])(
  'of a channel for %s',
  async (_name, options) => {
    const before = connecting();
    const channel = new PeerChannel(`127.0.0.1:${port}`, options);
    const { client, ended } = channel.begin();
    const failed = new Promise((resolve) => {
      const asIs = (bytes: Buffer): Buffer => bytes;
      client.makeUnaryRequest('/a/b', asIs, asIs, Buffer.alloc(0), resolve);
    });
    while (connecting() === before) await new Promise((resolve) => setTimeout(resolve, 5));
    channel.close();
    ended('none');
    await failed;
    while (connecting() > before) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(connecting()).toBe(before);
  },
  10_000,
);
