/**
 * A tracker, keepers and a client on machines of their own, as network namespaces: a cable is pulled in the middle of an
 * upload, which no closed connection tells anybody; another keeper hears the client and is not heard; a link is narrow. The
 * upload and a download go on within the times that they promise, and all is mended when the network is.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { KeeperStatus } from '@holdfast/client';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningCommand, run, start } from '../support/command.js';
import { sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { Network, missingForNamespaces } from '../support/namespaces.js';
import { waitFor } from '../support/wait.js';

const missing = missingForNamespaces();
const itNeedsNamespaces = missing === undefined ? it : it.skip;
const needing = missing === undefined ? '' : ` (needs ${missing})`;

const MiB = 1024 ** 2;
const sizeBytes = 24 * MiB;
const keepers = ['keeper-1', 'keeper-2', 'keeper-3', 'keeper-4'] as const;
const port = 7_400;
/**
 * A follower that is gone is dropped after 5 s, the first of a chain after 15 s, and the chunk is sent again: to the other
 * one that does not answer, at worst. A reader leaves a silent keeper after 2.5 s. And a process ends with its work: the
 * kernel would go on for two minutes to connect it with who has vanished.
 */
const transferLimitMs = 60_000;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let network: Network;
let servers: RunningCommand[];
let source: string;
let digest: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = await temporaryFolder();
  source = join(folder.path, 'source.bin');
  digest = await writeSeededFile(source, sizeBytes, 20_261_124);
  network = await Network.make(['tracker', ...keepers, 'client']);
  const times = ['--heartbeat-interval', '200ms', '--suspect-after', '2s', '--dead-after', '6s'];
  servers = [serve('tracker', 'master-tracker', times)];
  await ready();
  servers.push(...keepers.map((name) => serve(name, 'data-keeper', ['--tracker', tracker()])));
  await ready();
}, 180_000);

afterAll(async () => {
  if (missing !== undefined) return;
  await network.remove();
  await Promise.all(servers.map(({ finished }) => finished));
  await folder.remove();
}, 60_000);

const tracker = (): string => `${network.address('tracker')}:${port}`;

function serve(
  name: string,
  program: 'master-tracker' | 'data-keeper',
  flags: readonly string[],
): RunningCommand {
  const place = ['--data-dir', join(folder.path, name), '--listen', `${network.address(name)}:${port}`];
  return start(program, [...place, ...flags, '--json'], { wrapper: network.on(name) });
}

async function ready(): Promise<void> {
  const isReady = ({ stdout }: RunningCommand): boolean => stdout().includes('"event":"ready"');
  await waitFor('the servers to be ready', () => servers.every(isReady), 90_000);
}

const startClient = (...words: readonly string[]): RunningCommand =>
  start('client', [...words, '--tracker', tracker()], { wrapper: network.on('client') });

async function succeeds(running: RunningCommand): Promise<void> {
  const startMs = performance.now();
  const { status, stderr } = await running.finished;
  expect({ status, stderr }).toMatchObject({ status: 0 });
  expect(performance.now() - startMs).toBeLessThan(transferLimitMs);
}

async function isReceiving(name: string): Promise<boolean> {
  return (await readdir(join(folder.path, name, 'tmp'))).length > 0;
}

interface Status {
  readonly chunksBelowPolicy: number;
  readonly keepers: readonly KeeperStatus[];
}

async function isWhole(): Promise<boolean> {
  const { stdout } = await run('client', ['status', '--json', '--tracker', tracker()], {
    wrapper: network.on('client'),
  });
  const { chunksBelowPolicy, keepers: all } = JSON.parse(stdout.toString()) as Status;
  return chunksBelowPolicy === 0 && all.every(({ state, reported }) => state === 'live' && reported);
}

itNeedsNamespaces(
  `transfers go on over cables that are pulled, links that work one way, and narrow ones${needing}`,
  async () => {
    await network.cutOneWay('keeper-2', 'client');
    await network.narrow('keeper-3', 4 * MiB);
    const upload = startClient('upload', source, '/file', '--chunk-size', '4MiB');
    await waitFor('the first keeper to be sent something', () => isReceiving('keeper-1'));
    await network.pullCable('keeper-1');
    await succeeds(upload);
    const target = join(folder.path, 'back.bin');
    await succeeds(startClient('download', '/file', target));
    expect(await sha256Of(target)).toBe(digest);
    await network.plugCable('keeper-1');
    await network.mendOneWay('keeper-2', 'client');
    await network.widen('keeper-3');
    await waitFor('all to be whole', isWhole);
  },
  120_000,
);
