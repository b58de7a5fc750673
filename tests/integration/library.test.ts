/** The library beside real servers: several trackers, comparing and swapping, fetch's bodies, and a closed client. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type HoldfastClient, connect, hasCode } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { startMasterTracker } from '@holdfast/master-tracker';
import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { once } from 'node:events';
import { temporaryFolder } from '../support/files.js';

const MiB = 1024 * 1024;

/** HOST:PORT where nobody listens. */
async function unusedAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

let cluster: Cluster;
let client: HoldfastClient;
let own: HoldfastClient[] = [];

beforeAll(async () => {
  cluster = await startCluster({ keepers: 3 });
  client = await cluster.connect();
});

afterAll(() => cluster.stop());

afterEach(() => {
  for (const each of own) each.close();
  own = [];
});

describe('several trackers in the address', () => {
  it('a first one that is dead does not matter', async () => {
    const dead = await unusedAddress();
    const connected = await connect({ tracker: `${dead}, ${cluster.trackerAddress}` });
    own.push(connected);
    await connected.writeFile('/first-is-dead', 'x');
    expect(await connected.readFile('/first-is-dead', 'utf8')).toBe('x');
  });

  it('a tracker that comes back under another of them is found by a client that runs', async () => {
    const folder = await temporaryFolder();
    const [here, there] = [await unusedAddress(), await unusedAddress()];
    let tracker = await startMasterTracker({ dataDir: folder.path, listen: here });
    try {
      const connected = await connect({ tracker: `${here},${there}` });
      own.push(connected);
      await connected.makeDirectory('/before');
      await tracker.stop();
      const asked = connected.stat('/before');
      tracker = await startMasterTracker({ dataDir: folder.path, listen: there });
      expect(await asked).toMatchObject({ type: 'directory' });
      await connected.makeDirectory('/after');
      await tracker.stop();
      tracker = await startMasterTracker({ dataDir: folder.path, listen: here });
      expect(await connected.stat('/after')).toMatchObject({ type: 'directory' });
    } finally {
      await tracker.stop();
      await folder.remove();
    }
  });
});

describe('expectedVersion', () => {
  /** A file that somebody else has written since it was looked at. */
  async function changed(path: string): Promise<{ old: number; now: number }> {
    const first = await client.writeFile(path, 'first');
    const { version } = await client.writeFile(path, 'second');
    return { old: first.version, now: version };
  }

  const mutations: [string, (path: string, expectedVersion: number) => Promise<unknown>][] = [
    ['upload', (path, expectedVersion) => client.upload(Buffer.from('x'), path, { expectedVersion })],
    ['writeFile', (path, expectedVersion) => client.writeFile(path, 'x', { expectedVersion })],
    [
      'createWriteStream',
      async (path, expectedVersion) => {
        const stream = client.createWriteStream(path, { expectedVersion });
        stream.on('error', () => undefined).end('x');
        await stream.committed;
      },
    ],
    [
      'createWritableStream',
      (path, expectedVersion) =>
        new Response('x').body!.pipeTo(client.createWritableStream(path, { expectedVersion })),
    ],
    [
      'move',
      async (path, expectedVersion) => {
        await client.writeFile('/other', 'x');
        await client.move('/other', path, { expectedVersion });
      },
    ],
    [
      'copy',
      async (path, expectedVersion) => {
        await client.writeFile('/other', 'x');
        await client.copy('/other', path, { expectedVersion });
      },
    ],
    ['remove', (path, expectedVersion) => client.remove(path, { expectedVersion })],
    [
      'restore',
      async (path, expectedVersion) => {
        await client.writeFile('/lost', 'x');
        await client.remove('/lost');
        await client.restore('/lost', { to: path, expectedVersion });
      },
    ],
  ];

  it.each(mutations)('%s changes exactly what was seen', async (name, mutate) => {
    const path = `/swap-${name}`;
    const { old, now } = await changed(path);
    await expect(mutate(path, old)).rejects.toMatchObject({ code: 'VERSION_CONFLICT' });
    expect((await client.stat(path)).version).toBe(now);
    await mutate(path, now);
    const after = await client.stat(path).catch((error: unknown) => error);
    if (name === 'remove') expect(hasCode(after, 'NOT_FOUND')).toBe(true);
    else expect((after as { version: number }).version).toBeGreaterThan(now);
  });

  it('of ten writers who saw the same, one wins', async () => {
    const { version } = await client.writeFile('/counter', '0');
    const writers = Array.from({ length: 10 }, (_, index) =>
      client.writeFile('/counter', String(index), { expectedVersion: version }),
    );
    const outcomes = await Promise.allSettled(writers);
    const won = outcomes.filter(({ status }) => status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'VERSION_CONFLICT' });
    }
    expect(await client.readFile('/counter', 'utf8')).toBe(
      String(outcomes.findIndex(({ status }) => status === 'fulfilled')),
    );
  });
});

describe('fetch', () => {
  it('a body goes up as it comes, and a file goes out as a body', async () => {
    const bytes = randomBytes(20 * MiB);
    const server = createHttpServer((request, response) => {
      if (request.method === 'GET') response.end(bytes);
      else request.pipe(response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      const { body } = await fetch(url);
      await client.upload(body!, '/fetched', { chunkSizeBytes: 4 * MiB });
      const echoed = await fetch(url, {
        method: 'POST',
        body: client.createReadableStream('/fetched', { start: 1, end: 10 * MiB }),
        duplex: 'half',
      });
      const got = Buffer.from(await echoed.arrayBuffer());
      expect(got.equals(bytes.subarray(1, 10 * MiB + 1))).toBe(true);
      expect((await client.readFile('/fetched')).equals(bytes)).toBe(true);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('a client that is closed', () => {
  it('says so at once, whatever is called', async () => {
    const connected = await connect({ tracker: cluster.trackerAddress });
    await connected.writeFile('/file', randomBytes(MiB));
    const entry = await connected.stat('/file');
    connected.close();
    connected.close();
    const calls = [
      connected.stat('/file'),
      connected.readFile(entry),
      connected.writeFile('/file', 'x'),
      connected.list('/').next(),
      connected.status(),
    ];
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        retryable: false,
        message: expect.stringContaining('closed'),
      });
    }
  });

  it('in the middle of a stream ends that too', async () => {
    const connected = await connect({ tracker: cluster.trackerAddress });
    await connected.writeFile('/long', randomBytes(64 * MiB), { chunkSizeBytes: MiB });
    const reading = async (): Promise<void> => {
      for await (const _ of connected.createReadableStream('/long')) connected.close();
    };
    await expect(reading()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: false });
  });

  it('is closed by the end of its block, as `await using` has it', async () => {
    const connected = await connect({ tracker: cluster.trackerAddress });
    await connected[Symbol.asyncDispose]();
    await expect(connected.stat('/')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
