/**
 * A tracker, keepers and a client on machines of their own, as network namespaces: a cable is pulled in the middle of an
 * upload, which no closed connection tells anybody; another keeper hears the client and is not heard; a link is narrow, and
 * then every link to a keeper loses packets. Uploads, downloads and repairs go on within the times that they promise, and all
 * is mended when the network is.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { KeeperStatus } from '@holdfast/client';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningCommand, start } from '../support/command.js';
import { sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { type Footprints, type Holder, expectNothingHeld, footprintsOf } from '../support/footprint.js';
import { Network, missingForLoss, missingForNamespaces } from '../support/namespaces.js';
import { preloading } from '../support/preloading.js';
import { waitFor } from '../support/wait.js';

const missing = missingForNamespaces();
const missingToLose = missingForLoss();
const itNeeds = (what: string | undefined) => (what === undefined ? it : it.skip);
const needing = (what: string | undefined): string => (what === undefined ? '' : ` (needs ${what})`);

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
/** Longer than both tests may take. */
const serverLimitMs = 1_500_000;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let network: Network;
let servers: RunningCommand[];
let before: Footprints;
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
  before = await footprintsOf(holders());
});

afterAll(async () => {
  if (missing !== undefined) return;
  await network.remove();
  await Promise.all(servers.map(({ finished }) => finished));
  await folder.remove();
});

const tracker = (): string => `${network.address('tracker')}:${port}`;

function serve(
  name: string,
  program: 'master-tracker' | 'data-keeper',
  flags: readonly string[],
): RunningCommand {
  const place = ['--data-dir', join(folder.path, name), '--listen', `${network.address(name)}:${port}`];
  return start(program, [...place, ...flags, '--json'], {
    wrapper: network.on(name),
    limitMs: serverLimitMs,
    environment: preloading('leaks-show.mjs', 'soon-idle.mjs'),
  });
}

const holders = (): Holder[] =>
  servers.map(({ child: { pid } }, index) => ({ name: ['tracker', ...keepers][index]!, pid }));

async function ready(): Promise<void> {
  const isReady = ({ stdout }: RunningCommand): boolean => stdout().includes('"event":"ready"');
  await waitFor('the servers to be ready', () => servers.every(isReady), 180_000);
}

const startClient = (...words: readonly string[]): RunningCommand =>
  start('client', [...words, '--tracker', tracker()], {
    wrapper: network.on('client'),
    limitMs: transferLimitMs,
  });

async function succeeds(running: RunningCommand): Promise<void> {
  const { status, signal, stderr } = await running.finished;
  expect({ status, signal, stderr }).toMatchObject({ status: 0 });
}

async function isReceiving(name: string): Promise<boolean> {
  return (await readdir(join(folder.path, name, 'tmp'))).length > 0;
}

interface Status {
  readonly chunksBelowPolicy: number;
  readonly keepers: readonly KeeperStatus[];
}

async function statusNow(): Promise<Status> {
  const { stdout } = await startClient('status', '--json').finished;
  return JSON.parse(stdout.toString()) as Status;
}

async function isWhole(): Promise<boolean> {
  const { chunksBelowPolicy, keepers: all } = await statusNow();
  return chunksBelowPolicy === 0 && all.every(({ state, reported }) => state === 'live' && reported);
}

/** As the product says, once it has had the time to give up what is superfluous. */
async function isFoundWhole(): Promise<boolean> {
  const { status, stdout } = await startClient('fsck', '--json').finished;
  if (status !== 0) throw new Error(stdout.toString());
  return true;
}

async function comesDown(path: string, target: string): Promise<void> {
  await succeeds(startClient('download', path, target));
  expect(await sha256Of(target)).toBe(digest);
}

itNeeds(missing)(
  `transfers go on over cables that are pulled, links that work one way, and narrow ones${needing(missing)}`,
  async () => {
    await network.cutOneWay('keeper-2', 'client');
    await network.narrow('keeper-3', 4 * MiB);
    const upload = startClient('upload', source, '/file', '--chunk-size', '4MiB');
    // Where this look came too late the upload is over, and only what follows is tried.
    await waitFor(
      'the first keeper to be sent something',
      async () => upload.child.exitCode !== null || (await isReceiving('keeper-1')),
    );
    await network.pullCable('keeper-1');
    await succeeds(upload);
    await comesDown('/file', join(folder.path, 'back.bin'));
    await network.plugCable('keeper-1');
    await network.mendOneWay('keeper-2', 'client');
    await network.mend('keeper-3');
    await waitFor('all to be whole', isWhole);
    await waitFor('nothing to be found', isFoundWhole);
    await expectNothingHeld(holders(), before);
  },
  // All that is waited for has a limit of its own.
  600_000,
);

itNeeds(missingToLose)(
  `transfers and repairs go on over links that lose one packet in sixteen${needing(missingToLose)}`,
  async () => {
    for (const name of keepers) await network.lose(name);
    await succeeds(startClient('upload', source, '/lossy', '--chunk-size', '4MiB'));
    await comesDown('/lossy', join(folder.path, 'lossy.bin'));
    // The others send each other what it had.
    await network.pullCable('keeper-2');
    const repaired = async (): Promise<boolean> => {
      const { chunksBelowPolicy, keepers: all } = await statusNow();
      return chunksBelowPolicy === 0 && all.some(({ state }) => state === 'dead');
    };
    await waitFor('the copies of the lost keeper to be made anew', repaired, 180_000);
    await comesDown('/lossy', join(folder.path, 'lossy-again.bin'));
    for (const name of keepers) expect(await network.lostPackets(name)).toBeGreaterThan(0);
    await network.plugCable('keeper-2');
    for (const name of keepers) await network.mend(name);
    await waitFor('all to be whole', isWhole);
    await waitFor('nothing to be found', isFoundWhole);
    await expectNothingHeld(holders(), before);
  },
  600_000,
);
