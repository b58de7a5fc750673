/** First contact, against real sockets: nobody, a web server, noise, silence. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, type Server, type Socket, createServer } from 'node:net';
import { grpcTransport } from '@holdfast/shared/grpc';
import { type ConnectOptions, connect } from '../src/connect.js';
import { livedTimeOf } from './support/lived-time.js';

const open: { server: Server; sockets: Set<Socket> }[] = [];

/** Listens on a free port; every socket is closed after the test. */
async function listen(server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  open.push({ server, sockets });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function close({ server, sockets }: (typeof open)[number]): Promise<unknown> {
  for (const socket of sockets) socket.destroy();
  return new Promise((resolve) => server.close(resolve));
}

afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(open.splice(0).map(close));
});

/** Whoever answers may take long: the machine may stand still for longer than a first word usually takes. */
function noDeadlines(): void {
  jest.spyOn(grpcTransport, 'deadlineIn').mockReturnValue(Infinity);
}

async function unusedAddress(): Promise<string> {
  const address = await listen(createServer());
  await Promise.all(open.splice(0).map(close));
  return address;
}

async function failure(tracker: string) {
  const { result: error, livedMs } = await livedTimeOf(() =>
    connect({ tracker }).catch((thrown: unknown) => thrown),
  );
  return { error, livedMs };
}

describe('connect', () => {
  it('says within about 2 s that nobody listens, and what to do', async () => {
    noDeadlines();
    const { error, livedMs } = await failure(await unusedAddress());
    expect(error).toMatchObject({ code: 'UNAVAILABLE', remedy: expect.stringContaining('npm start') });
    expect(String(error)).toMatch(/refused/);
    expect(livedMs).toBeLessThan(3_000);
  });

  it('tells a web server from a tracker', async () => {
    const address = await listen(createHttpServer((_request, response) => response.end('hello')));
    noDeadlines();
    const { error, livedMs } = await failure(address);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', remedy: expect.stringContaining('--tracker') });
    expect(livedMs).toBeLessThan(5_000);
  });

  it('tells noise from a tracker', async () => {
    const address = await listen(createServer((socket) => socket.end('220 mail.example ESMTP\r\n')));
    noDeadlines();
    const { error } = await failure(address);
    expect(error).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('gives up on a peer that accepts and never speaks, within 10 s', async () => {
    const { error, livedMs } = await failure(await listen(createServer()));
    expect(error).toMatchObject({ code: 'DEADLINE_EXCEEDED', remedy: expect.stringContaining('frozen') });
    expect(livedMs).toBeLessThan(10_000);
  });

  it('refuses an option that it does not have', async () => {
    const misspelt = { trackers: '127.0.0.1:1' } as ConnectOptions;
    await expect(connect(misspelt)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'connect has no option "trackers"',
    });
  });

  it('ends at once when it is aborted', async () => {
    const abort = new AbortController();
    const connecting = connect({ tracker: await listen(createServer()), signal: abort.signal });
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it.each(['nonsense', 'host:0', 'host:99999', 'http://host:1', ''])(
    'refuses the address "%s"',
    async (tracker) => {
      await expect(connect({ tracker })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );
});
