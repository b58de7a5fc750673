/**
 * Bad input at the command line, each with its exit status, a message with a remedy, and nothing changed.
 * The statuses are those of docs/errors.md.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster, startProcessCluster } from '@holdfast/local-cluster';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { appendFile, chmod, mkdir, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runHere } from '../support/command-here.js';
import { permissionsMatter, run, start } from '../support/command.js';
import { temporaryFolder, writeSeededFile } from '../support/files.js';
import { waitFor } from '../support/wait.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let client: HoldfastClient;
let flags: string[];
let file: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  cluster = await startProcessCluster({ dataDir: join(folder.path, 'cluster'), keepers: 3 });
  client = await cluster.connect();
  flags = ['--tracker', cluster.trackerAddress];
  file = join(folder.path, 'file.txt');
  await writeFile(file, 'some text\n');
  await client.upload(Buffer.from('the old text\n'), '/taken.txt');
  await client.makeDirectory('/dir');
  await client.makeDirectory('/dir/sub');
});

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

function runClient(...args: string[]): ReturnType<typeof runHere> {
  return runHere([...args, ...flags]);
}

/** Stops the keepers' processes where they are, or has them go on. */
function signalKeepers(signal: 'SIGSTOP' | 'SIGCONT'): void {
  for (const { pid } of cluster.keepers) process.kill(pid!, signal);
}

/** Everything in the namespace, to see that nothing changed. */
async function everything(): Promise<string[]> {
  const found: string[] = [];
  const visit = async (path: string): Promise<void> => {
    for await (const entry of client.list(path)) {
      found.push(`${entry.path} ${entry.type} ${entry.version}`);
      if (entry.type === 'directory') await visit(entry.path);
    }
  };
  await visit('/');
  return found;
}

describe('a command that cannot be done', () => {
  const cases: [what: string, status: number, args: () => string[], text: RegExp][] = [
    ['a missing local file', 3, () => ['upload', join(folder.path, 'nothing'), '/x'], /nothing/],
    ['a missing remote file', 3, () => ['download', '/nothing', folder.path], /\/nothing/],
    ['cat of a missing file', 3, () => ['cat', '/nothing'], /\/nothing/],
    ['stat of a missing file', 3, () => ['stat', '/nothing'], /\/nothing/],
    ['rm of a missing file', 3, () => ['rm', '/nothing'], /\/nothing/],
    ['mv of a missing file', 3, () => ['mv', '/nothing', '/else'], /\/nothing/],
    ['ls of a missing directory', 3, () => ['ls', '/nothing'], /\/nothing/],
    ['a missing parent', 3, () => ['upload', file, '/no/such/dir/x'], /\/no/],
    ['an existing target without --force', 4, () => ['upload', file, '/taken.txt'], /--force/],
    ['an existing local target without --force', 4, () => ['download', '/taken.txt', file], /--force/],
    ['an existing directory to mkdir', 4, () => ['mkdir', '/dir'], /\/dir/],
    ['a local directory without -r', 4, () => ['upload', folder.path, '/x'], /-r/],
    ['a remote directory without -r', 4, () => ['download', '/dir', folder.path], /-r/],
    ['rm of a directory without -r', 4, () => ['rm', '/dir'], /-r/],
    ['a relative remote path', 2, () => ['upload', file, 'x'], /absolute|start with/],
    ['a remote path with ..', 2, () => ['ls', '/a/../b'], /\.\./],
    ['a name of 256 bytes', 2, () => ['mkdir', `/${'x'.repeat(256)}`], /255/],
    ['an unknown command', 2, () => ['uplaod', file, '/x'], /uplaod|[Uu]nknown/],
    ['an unknown flag', 2, () => ['upload', file, '/x', '--concurency', '3'], /concurency/],
    ['a concurrency of nothing', 2, () => ['upload', file, '/x', '--concurrency', '0'], /concurrency/],
    ['a chunk size that is none', 2, () => ['upload', file, '/x', '--chunk-size', 'big'], /chunk-size/],
    [
      'more durable copies than copies',
      2,
      () => ['upload', file, '/x', '--replicas', '1', '--min-write', '2'],
      /min-write/,
    ],
    ['a switch with a value that is none', 2, () => ['rm', '/taken.txt', '--dry-run=yes'], /dry-run/],
    ['too many replicas', 2, () => ['upload', file, '/x', '--replicas', '99'], /replicas/],
    ['no arguments', 2, () => ['upload'], /./],
    [
      'more copies than there are keepers must hold',
      5,
      () => ['upload', file, '/x', '--replicas', '5', '--min-write', '5'],
      /keeper/,
    ],
  ];

  it.each(cases)('%s ends %d', async (_what, status, args, text) => {
    const before = await everything();
    const result = await runClient(...args());
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status,
      stderr: expect.stringMatching(text),
    });
    // People get text, never a stack.
    expect(result.stderr).not.toMatch(/^\s+at /m);
    expect(await everything()).toEqual(before);
  });

  // Only Linux tells what was typed, and only some file systems and shells let it be.
  (process.platform === 'linux' ? it : it.skip)(
    'a name that is not UTF-8 ends 2, and is not stored as another one',
    async () => {
      const typed = (octal: string) => ['sh', '-c', `exec "$@" "$(printf '/caf${octal}')"`, 'sh'];
      const before = await everything();
      const args = ['mkdir', ...flags];
      const latin1 = await run('client', args, { wrapper: typed('\\351') });
      expect({ status: latin1.status, stderr: latin1.stderr }).toEqual({
        status: 2,
        stderr: expect.stringMatching(/"\/caf\uFFFD" is not valid UTF-8\n.*UTF-8 locale/),
      });
      expect(await everything()).toEqual(before);
      // The character that stands for such bytes is a name like any other.
      const utf8 = await run('client', args, { wrapper: typed('\\357\\277\\275') });
      expect({ status: utf8.status, stderr: utf8.stderr }).toEqual({ status: 0, stderr: '' });
      await client.remove('/caf\uFFFD');
    },
  );

  it('tells programs as one JSON document', async () => {
    const result = await runClient('stat', '/nothing', '--json');
    expect(result.status).toBe(3);
    expect(JSON.parse(result.stdout.toString())).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });

  // Skipped only where root cannot be bound by permissions: no `setpriv` (util-linux) on the machine.
  (permissionsMatter() ? it : it.skip)('an unreadable file ends 6', async () => {
    const secret = join(folder.path, 'secret');
    await writeFile(secret, 'x');
    await chmod(secret, 0o000);
    const result = await run('client', ['upload', secret, '/x', ...flags], { unprivileged: true });
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status: 6,
      stderr: expect.stringMatching(/secret/),
    });
    await expect(client.stat('/x')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('a download that fails leaves no file, whole or part', async () => {
    const target = join(folder.path, 'targets');
    await mkdir(target);
    expect(await runClient('download', '/nothing', target)).toMatchObject({ status: 3 });
    expect(await readdir(target)).toEqual([]);
  });

  it('a file that grows while it is uploaded is refused, and nothing of it is seen', async () => {
    const growing = join(folder.path, 'growing');
    await writeSeededFile(growing, 8 * 1024 ** 2, 5);
    // It cannot end before the file has grown.
    signalKeepers('SIGSTOP');
    const upload = runClient('upload', growing, '/growing');
    await waitFor('the upload to be on its way', async () => (await client.status()).openUploads > 0);
    await appendFile(growing, 'more');
    signalKeepers('SIGCONT');
    const result = await upload;
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/changed/),
    });
    await expect(client.stat('/growing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await waitFor('the session to end', async () => (await client.status()).openUploads === 0);
  });

  it('an interrupted upload that is not to be resumed ends 130, and its session is gone', async () => {
    const source = join(folder.path, 'interrupted');
    await writeFile(source, '');
    // So long that it is interrupted in the middle, and made of nothing.
    await truncate(source, 1024 ** 3);
    // It cannot end before.
    signalKeepers('SIGSTOP');
    const upload = start('client', ['upload', source, '/interrupted', '--no-resume', ...flags]);
    await waitFor('the upload to be on its way', async () => (await client.status()).openUploads > 0).finally(
      () => {
        upload.child.kill('SIGINT');
        signalKeepers('SIGCONT');
      },
    );
    expect(await upload.finished).toMatchObject({ status: 130 });
    await expect(client.stat('/interrupted')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await client.status()).openUploads).toBe(0);
  });
});

describe('a tracker that is not one', () => {
  async function listening(server: Server): Promise<string> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it('nobody there: ends 5 at once, with a remedy', async () => {
    const startedMs = performance.now();
    const result = await runHere(['ls', '/', '--tracker', '127.0.0.1:9']);
    expect(result.status).toBe(5);
    expect(result.stderr).toMatch(/127\.0\.0\.1:9/);
    expect(result.stderr).toMatch(/npm start|--tracker/);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  it('a web server there: ends 5', async () => {
    const server = createHttpServer((_request, response) => response.end('hello'));
    const address = await listening(server);
    const result = await runHere(['ls', '/', '--tracker', address]);
    server.closeAllConnections();
    server.close();
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status: 5,
      stderr: expect.stringContaining(address),
    });
  });

  it('something that accepts and never speaks: ends 5 within the deadline', async () => {
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => sockets.push(socket));
    const address = await listening(server);
    const result = await run('client', ['ls', '/', '--tracker', address]);
    for (const socket of sockets) socket.destroy();
    server.close();
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status: 5,
      stderr: expect.stringContaining(address),
    });
  });

  it('a keeper there: says so', async () => {
    const result = await runHere(['ls', '/', '--tracker', cluster.keepers[0]!.address]);
    expect(result.status).not.toBe(0);
    expect(result.stderr).toMatch(/tracker|kind of/);
  });
});

describe('a server that cannot start', () => {
  it('a port in use', async () => {
    const result = await run('master-tracker', [
      ...['--data-dir', join(folder.path, 'second'), '--listen', cluster.trackerAddress],
    ]);
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status: 4,
      stderr: expect.stringContaining(cluster.trackerAddress),
    });
  });

  it.each(['tracker', 'keeper'] as const)('a data directory in use: %s', async (kind) => {
    const member = kind === 'tracker' ? cluster.tracker : cluster.keepers[0]!;
    const result = await run(kind === 'tracker' ? 'master-tracker' : 'data-keeper', [
      ...['--data-dir', member.dataDir, '--listen', '127.0.0.1:0'],
      ...(kind === 'tracker' ? [] : flags),
    ]);
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status: 4,
      stderr: expect.stringMatching(/in use|uses/),
    });
  });

  it("a keeper's directory of another cluster, which stays untouched", async () => {
    const other = await startCluster({ dataDir: join(folder.path, 'other'), keepers: 1 });
    const stranger = other.keepers[0]!;
    await stranger.stop();
    const before = (await readdir(stranger.dataDir, { recursive: true })).sort();
    const result = await run('data-keeper', [
      '--data-dir',
      stranger.dataDir,
      '--listen',
      '127.0.0.1:0',
      ...flags,
    ]);
    expect({ status: result.status, stderr: result.stderr }).toEqual({
      status: 4,
      stderr: expect.stringMatching(/another cluster|other cluster/),
    });
    expect((await readdir(stranger.dataDir, { recursive: true })).sort()).toEqual(before);
    expect((await client.status()).keepers).toHaveLength(3);
    await other.stop();
  });

  it('a directory that is something else', async () => {
    const result = await run('data-keeper', ['--data-dir', '/usr', '--listen', '127.0.0.1:0', ...flags]);
    expect(result.status).not.toBe(0);
    expect(result.stderr).toMatch(/data directory/);
  });

  it('nonsense flags, every mistake in one go', async () => {
    const result = await run('data-keeper', [
      '--data-dir',
      'x',
      '--listen',
      'nowhere',
      '--capacity',
      'lots',
      '--zome',
      'a',
    ]);
    expect(result.status).toBe(2);
    for (const word of ['listen', 'capacity', 'zome']) expect(result.stderr).toContain(word);
  });
});

describe('a cluster that cannot', () => {
  it('no keeper at all, and keepers without room', async () => {
    const empty = await startCluster({ keepers: 0 });
    const there = ['--tracker', empty.trackerAddress];
    const none = await runHere(['upload', file, '/x', ...there]);
    expect({ status: none.status, stderr: none.stderr }).toEqual({
      status: 5,
      stderr: expect.stringMatching(/keeper/),
    });
    for (let index = 0; index < 3; index += 1) await empty.addKeeper({ capacityBytes: 64 * 1024 ** 2 });
    const large = join(folder.path, 'large');
    await writeSeededFile(large, 120 * 1024 ** 2, 7);
    const full = await runHere(['upload', large, '/large', ...there]);
    expect({ status: full.status, stderr: full.stderr }).toEqual({
      status: 8,
      stderr: expect.stringMatching(/space|room/),
    });
    expect(await runHere(['stat', '/large', ...there])).toMatchObject({ status: 3 });
    // What is small still fits.
    expect(await runHere(['upload', file, '/small', ...there])).toMatchObject({ status: 0 });
    await empty.stop();
  });
});
