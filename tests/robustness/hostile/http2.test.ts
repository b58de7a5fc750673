/**
 * Peers that speak HTTP/2 badly, or something else, or nothing: floods of frames, connections that stay silent, messages
 * that never end. Whoever behaves is served beside every one of them, by the same process, in bounded memory.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { keeperV1, trackerV1 } from '@holdfast/proto';
import { gzipSync } from 'node:zlib';
import { checkHealth } from '../../support/keeper-calls.js';
import { waitFor } from '../../support/wait.js';
import { RawConnection, callHeaders, flags, frame, grpcFrame, headerBlock } from './support/frames.js';
import { readRaw } from './support/http2-client.js';
import { Prober } from './support/probing.js';
import { SlowCall } from './support/slow-call.js';
import { Target } from './support/target.js';

const { GetEntry } = trackerV1.NamespaceService.service;
const { CommitUpload } = trackerV1.UploadService.service;
const { StatChunk } = keeperV1.ChunkService.service;
const watchPath = '/grpc.health.v1.Health/Watch';
const MiB = 1024 ** 2;
/** Of a request; what a server says to nonsense comes at once, and a busy machine is slow. */
const answerMs = 5_000;
const peakBytes = 700 * MiB;
/** What may be said to a call that takes its time: DEADLINE_EXCEEDED, and RESOURCE_EXHAUSTED where others need the room. */
const tooSlow = ['4', '8'];
/** Of messages that never end: much more than the memory that servers may take, if they kept it. */
const floodBytes = 1_024 * MiB;

let target: Target;
let prober: Prober;
/** One to each server that is attacked, from the first attack to the last. */
const slowCalls: SlowCall[] = [];
beforeAll(async () => {
  target = await Target.start();
  prober = await Prober.start(target);
  // At a byte a second, it takes an hour to say either of these.
  const path = `/${'slow'.repeat(900)}`;
  const piece = { chunkId: '0'.repeat(32), pieceIndex: 0, readToken: Buffer.alloc(3_600) };
  const [tracker, keeper] = target.servers.map(({ address }) => address) as [string, string];
  slowCalls.push(await SlowCall.open(tracker, GetEntry.path, GetEntry.requestSerialize({ path })));
  slowCalls.push(await SlowCall.open(keeper, StatChunk.path, StatChunk.requestSerialize(piece)));
});
afterAll(async () => {
  for (const call of slowCalls) call.close();
  await prober.stop();
  await target.stop();
});

type Attack = (address: string) => Promise<readonly RawConnection[]>;

/** Who behaves is answered, every time and soon, all the while since the last look. */
async function expectAnswered(): Promise<void> {
  for (const { what, answers, slowestMs, failures } of await prober.report()) {
    expect({ what, failures }).toEqual({ what, failures: [] });
    expect({ what, answers, slowestMs, inTime: slowestMs < answerMs }).toMatchObject({ inTime: true });
  }
}

/** Others are served during an attack; what it leaves open stays open while more is asked for. */
async function expectServed(attack: Attack): Promise<void> {
  const left: RawConnection[] = [];
  for (const { address } of target.servers.slice(0, 2)) left.push(...(await attack(address)));
  await expectAnswered();
  for (const { address } of target.servers) await checkHealth(address, answerMs);
  for (const path of target.ledger.paths) await target.ledger.check(target.client, path);
  expect(target.exits).toEqual([]);
  for (const [name, bytes] of Object.entries(target.peakBytes())) {
    expect({ name, bounded: bytes < peakBytes, bytes }).toMatchObject({ name, bounded: true });
  }
  for (const connection of left) connection.close();
}

function opened(streams: number, block: Buffer, more: (stream: number) => Buffer[]): Buffer[] {
  return Array.from({ length: streams }, (_, index) => {
    const stream = 2 * index + 1;
    return Buffer.concat([frame('headers', flags.endHeaders, stream, block), ...more(stream)]);
  });
}

const reset = (stream: number): Buffer => frame('reset', 0, stream, Buffer.from([0, 0, 0, 8]));

/** Writes the parts again and again until the other side has had enough. */
async function flood(address: string, part: Buffer, times: number): Promise<readonly RawConnection[]> {
  const connection = await RawConnection.begun(address);
  for (let n = 0; n < times && !connection.socket.destroyed; n += 1) await connection.write(part);
  return [connection];
}

const attacks: Readonly<Record<string, Attack>> = {
  async 'something that is not HTTP/2'(address) {
    const hello = Buffer.from('16030100a5010000a10303', 'hex');
    const words = [
      'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n',
      '\n',
      '\0'.repeat(10_000),
    ];
    for (const bytes of [hello, ...words.map((word) => Buffer.from(word))]) {
      const connection = await RawConnection.open(address);
      await connection.write(bytes);
      connection.socket.end();
      await connection.closed;
    }
    return [];
  },
  async 'silent connections'(address) {
    return Promise.all(Array.from({ length: 300 }, () => RawConnection.open(address)));
  },
  async 'connections that come and go'(address) {
    for (let round = 0; round < 10; round += 1) {
      const some = await Promise.all(Array.from({ length: 100 }, () => RawConnection.begun(address)));
      for (const each of some)
        if (round % 2 === 0) each.close();
        else each.socket.resetAndDestroy();
    }
    return [];
  },
  async 'calls that are reset as soon as they are begun'(address) {
    const block = headerBlock(callHeaders(GetEntry.path));
    return flood(address, Buffer.concat(opened(400, block, (stream) => [reset(stream)])), 1);
  },
  async 'calls of another type that are reset as soon as they are begun'(address) {
    const block = headerBlock(callHeaders(GetEntry.path, { 'content-type': 'text/html' }));
    return flood(address, Buffer.concat(opened(400, block, (stream) => [reset(stream)])), 1);
  },
  async 'calls of unknown methods that are reset as soon as they are begun'(address) {
    const block = headerBlock(callHeaders('/nobody.Knows/It'));
    return flood(address, Buffer.concat(opened(400, block, (stream) => [reset(stream)])), 1);
  },
  async 'calls that end with the connection'(address) {
    for (const path of [GetEntry.path, '/nobody.Knows/It']) {
      for (const type of ['application/grpc', 'text/html']) {
        const connection = await RawConnection.begun(address);
        const block = headerBlock(callHeaders(path, { 'content-type': type }));
        await connection.write(...opened(50, block, () => []));
        connection.socket.resetAndDestroy();
      }
    }
    return [];
  },
  'a flood of pings that nobody reads the answers to': (address) =>
    flood(
      address,
      Buffer.concat(Array.from({ length: 1_000 }, () => frame('ping', 0, 0, Buffer.alloc(8)))),
      100,
    ),
  'a flood of settings': (address) =>
    flood(address, Buffer.concat(Array.from({ length: 1_000 }, () => frame('settings', 0, 0))), 100),
  'a flood of empty data': async (address) => {
    const connection = await RawConnection.begun(address);
    await connection.write(...opened(1, headerBlock(callHeaders(GetEntry.path)), () => []));
    for (let n = 0; n < 50 && !connection.socket.destroyed; n += 1) {
      await connection.write(...Array.from({ length: 1_000 }, () => frame('data', 0, 1)));
    }
    return [connection];
  },
  async 'headers without an end'(address) {
    const connection = await RawConnection.begun(address);
    const part = headerBlock([['x'.repeat(100), 'y'.repeat(10_000)]]);
    await connection.write(frame('headers', 0, 1, headerBlock(callHeaders(GetEntry.path))));
    for (let n = 0; n < 2_000 && !connection.socket.destroyed; n += 1) {
      await connection.write(frame('continuation', 0, 1, part));
    }
    return [connection];
  },
  async 'a window that overflows, frames on streams that are none, and lengths that are wrong'(address) {
    const increment = Buffer.from([0x7f, 0xff, 0xff, 0xff]);
    const wrong = [
      [frame('window', 0, 0, increment), frame('window', 0, 0, increment)],
      [frame('data', 0, 0, Buffer.alloc(10))],
      [frame('data', 0, 77, Buffer.alloc(10))],
      [frame('headers', flags.endHeaders, 2, headerBlock(callHeaders(GetEntry.path)))],
      [frame('ping', 0, 0, Buffer.alloc(3))],
      [frame('settings', 0, 0, Buffer.alloc(7))],
      [frame('headers', flags.endHeaders, 1, Buffer.alloc(100, 0xff))],
      [frame('goaway', 0, 0, Buffer.alloc(8))],
    ];
    return Promise.all(
      wrong.map(async (frames) => {
        const connection = await RawConnection.begun(address);
        await connection.write(...frames);
        return connection;
      }),
    );
  },
  async 'a message a byte at a time'(address) {
    const connection = await RawConnection.begun(address);
    const message = grpcFrame(GetEntry.requestSerialize({ path: '/f-0' }));
    await connection.write(...opened(1, headerBlock(callHeaders(GetEntry.path)), () => []));
    for (const byte of message.subarray(0, -1)) {
      await connection.write(frame('data', 0, 1, Buffer.from([byte])));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return [connection];
  },
  async 'watchers of services that nobody has heard of'(address) {
    const connections = await Promise.all(Array.from({ length: 4 }, () => RawConnection.begun(address)));
    for (const connection of connections) {
      const block = headerBlock(callHeaders(watchPath));
      await connection.write(
        ...opened(200, block, (stream) => {
          const name = Buffer.from(`${connection.socket.localPort}-${stream}`.padEnd(4_000, 'x'));
          const message = Buffer.concat([Buffer.from([0x0a, 0xa0, 0x1f]), name]);
          return [frame('data', flags.endStream, stream, grpcFrame(message))];
        }),
      );
    }
    return connections;
  },
};

describe('a peer that sends', () => {
  it.each(Object.keys(attacks))('%s is borne', (name) => expectServed(attacks[name]!));

  it('messages that never end take bounded memory', async () => {
    /** Each stays a byte short of the most that a server takes. */
    const parts = Buffer.alloc(16 * 1024, 0x0a);
    await expectServed(async (address) => {
      const count = 4;
      const connections = await Promise.all(
        Array.from({ length: count }, () => RawConnection.begun(address)),
      );
      await Promise.all(
        connections.map(async (connection) => {
          const streams = 100;
          await connection.write(
            ...opened(streams, headerBlock(callHeaders(CommitUpload.path)), (stream) => [
              frame('data', 0, stream, grpcFrame(Buffer.alloc(0), { length: 16 * MiB })),
            ]),
          );
          const frames = floodBytes / count / parts.length;
          for (let n = 0; n < frames && !connection.socket.destroyed; n += 1) {
            await connection.write(frame('data', 0, 2 * (n % streams) + 1, parts));
          }
        }),
      );
      return connections;
    });
  });
});

describe('a call with', () => {
  const message = GetEntry.requestSerialize({ path: '/f-0' });
  const zeros = gzipSync(Buffer.alloc(200 * MiB));
  const cases: readonly [
    what: string,
    headers: Readonly<Record<string, string>>,
    data: Buffer,
    status: RegExp,
  ][] = [
    ['no mistake', {}, grpcFrame(message), /^0$/],
    ['another content type', { 'content-type': 'text/html' }, grpcFrame(message), /^http 415$/],
    ['no content type', { 'content-type': '' }, grpcFrame(message), /^http 415$/],
    ['no te', { te: '' }, grpcFrame(message), /^0$/],
    ['no path', { ':path': '/' }, grpcFrame(message), /^12$/],
    ['a path of 30,000 characters', { ':path': `/${'%'.repeat(30_000)}` }, grpcFrame(message), /^12$|^reset/],
    ['no message', {}, Buffer.alloc(0), /^3$/],
    ['half a prefix', {}, Buffer.from([0, 0]), /^3$/],
    ['a length that is too long', {}, grpcFrame(message, { length: message.length + 1 }), /^3$/],
    ['a length that is too short', {}, grpcFrame(message, { length: message.length - 1 }), /^3$/],
    ['a length of 4 GiB', {}, grpcFrame(message, { length: 2 ** 32 - 1 }), /^8$/],
    ['two messages', {}, Buffer.concat([grpcFrame(message), grpcFrame(message)]), /^3$/],
    [
      'a message and a half',
      {},
      Buffer.concat([grpcFrame(message), grpcFrame(message).subarray(0, 7)]),
      /^3$/,
    ],
    ['a message that is none', {}, grpcFrame(Buffer.alloc(9, 0xff)), /^3$/],
    ['a flag that nobody knows', {}, grpcFrame(message, { flag: 7 }), /^(0|3)$/],
    ['compression that is not said', {}, grpcFrame(message, { flag: 1 }), /^[03]$/],
    ['compression that is none', { 'grpc-encoding': 'gzip' }, grpcFrame(message, { flag: 1 }), /^3$/],
    ['unknown compression', { 'grpc-encoding': 'zip' }, grpcFrame(message, { flag: 1 }), /^12$/],
    ['compression', { 'grpc-encoding': 'gzip' }, grpcFrame(gzipSync(message), { flag: 1 }), /^0$/],
    ['200 MiB in 200 KiB', { 'grpc-encoding': 'gzip' }, grpcFrame(zeros, { flag: 1 }), /^8$/],
    ['a timeout that is none', { 'grpc-timeout': 'soon' }, grpcFrame(message), /^3$/],
    ['a timeout that is over', { 'grpc-timeout': '0n' }, grpcFrame(message), /^[04]$/],
    ['a timeout of centuries', { 'grpc-timeout': '99999999H' }, grpcFrame(message), /^0$/],
    ['binary metadata that is none', { 'x-bin': '*!*' }, grpcFrame(message), /^0$/],
  ];

  it.each(cases)('%s is answered', async (_what, headers, data, status) => {
    const path = headers[':path'] ?? GetEntry.path;
    const answer = await readRaw(target.cluster.trackerAddress, callHeaders(path, headers), data, answerMs);
    expect(answer).toMatchObject({ status: expect.stringMatching(status) });
    // What is wrong with it is said, and what to do.
    if (['3', '8'].includes(answer.status))
      expect(answer.detail).toMatchObject({ remedy: expect.stringMatching(/./) });
    expect(target.exits).toEqual([]);
  });
});

describe('a caller that has sent a byte a second all the while', () => {
  it('waits still, or was told in time that others need the room, and leaves nothing behind', async () => {
    for (const call of slowCalls) {
      await waitFor('some bytes to have been sent', () => call.sentBytes > 3 || call.status !== undefined);
      // It has no deadline of its own, and took no more room than it was given.
      expect([undefined, ...tooSlow]).toContain(call.status);
      const isOpen = call.status === undefined;
      if (process.platform === 'linux' && isOpen) expect(await call.isHeld()).toBe(true);
      call.close();
      await waitFor('the server to have let it go', async () => !(await call.isHeld()));
    }
    expect(target.exits).toEqual([]);
  });
});

it('ends with the judge: nothing of all this is left', () => target.judge(() => false));
