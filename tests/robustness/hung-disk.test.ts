/**
 * The disk of one keeper hangs, for writes and then for reads, while files go up and down: the commands end 0 with
 * the right bytes, the keeper's process goes on answering, and when the disk is back so is the keeper, with nothing
 * lost and nothing left over.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type HoldfastClient, connect } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Finished, run } from '../support/command.js';
import { sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { checkHealth } from '../support/keeper-calls.js';
import { LoopDisk, hungThreads, missingForHungReads, missingForHungWrites } from '../support/loop-disk.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';
import { waitFor } from '../support/wait.js';

const sizeBytes = 48 * 1024 ** 2;
const chunkSize = '8MiB';
/** The tracker suspects a keeper that it has not heard of for this long: the process must be quicker than that. */
const answerWithinMs = 5_000;

const missing = { writes: missingForHungWrites(), reads: missingForHungReads() };
const itNeeds = (what: string | undefined) => (what === undefined ? it : it.skip);
const needing = (what: string | undefined): string => (what === undefined ? '' : ` (needs ${what})`);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let disk: LoopDisk;
let cluster: Cluster;
let expectAsBefore: () => Promise<void>;
let client: HoldfastClient;
let source: string;
let digest: string;

beforeAll(async () => {
  if (missing.writes !== undefined) return;
  folder = await temporaryFolder();
  source = join(folder.path, 'source.bin');
  digest = await writeSeededFile(source, sizeBytes, 20_261_121);
  const dataDir = join(folder.path, 'cluster');
  disk = await LoopDisk.make(join(dataDir, 'keeper-1'), join(folder.path, 'disk.img'), 4 * 1024 ** 3);
  ({ cluster, expectAsBefore } = await startMeasuredCluster(3, dataDir));
  client = await connect({ tracker: cluster.trackerAddress });
  await upload('/first');
});

afterAll(async () => {
  if (missing.writes !== undefined) return;
  client.close();
  // Nobody ends while its disk hangs, not even killed.
  await disk.thaw().catch(() => undefined);
  await disk.releaseReads();
  await cluster.stop();
  await disk.remove();
  await folder.remove();
});

function succeeded({ status, stderr }: Finished): void {
  expect({ status, stderr }).toMatchObject({ status: 0 });
}

async function upload(path: string): Promise<void> {
  const words = ['upload', source, path, '--chunk-size', chunkSize];
  succeeded(await run('client', [...words, '--tracker', cluster.trackerAddress]));
}

let downloads = 0;
async function download(path: string): Promise<void> {
  const target = join(folder.path, `back-${++downloads}.bin`);
  succeeded(await run('client', ['download', path, target, '--tracker', cluster.trackerAddress]));
  expect(await sha256Of(target)).toBe(digest);
}

/**
 * Asks the keeper and the tracker again and again while `work` goes on: both must answer, every time, and the keeper
 * must keep its lease.
 */
async function staysAlive(work: Promise<unknown>): Promise<void> {
  const { address } = cluster.keepers[0]!;
  let working = true;
  const worked = work.finally(() => {
    working = false;
  });
  worked.catch(() => undefined);
  const states = new Set<string>();
  while (working) {
    await checkHealth(address, answerWithinMs);
    states.add(await stateOfFirst());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await worked;
  // On a machine that is busy a heartbeat may come late.
  states.delete('suspect');
  expect([...states]).toEqual(['live']);
}

async function stateOfFirst(): Promise<string> {
  const { keepers } = await client.status();
  return keepers.find(({ keeperId }) => keeperId === cluster.keepers[0]!.keeperId)?.state ?? 'unknown';
}

/** All is as if nothing had happened: every copy is there, no temp file is, and the keeper alone has every byte. */
async function isWholeAgain(paths: readonly string[]): Promise<void> {
  await waitFor('every chunk to have its three copies', async () => {
    const { chunksBelowPolicy, keepers } = await client.status();
    return chunksBelowPolicy === 0 && keepers.every((keeper) => keeper.storageError === '');
  });
  await waitFor('the temp files to be gone', async () => (await temporaryFiles()).length === 0);
  const others = cluster.keepers.slice(1);
  await Promise.all(others.map((keeper) => keeper.stop()));
  for (const path of paths) await download(path);
  await Promise.all(others.map((keeper) => keeper.start()));
  await waitFor('all to be live', async () =>
    (await client.status()).keepers.every(({ state, reported }) => state === 'live' && reported),
  );
  await expectAsBefore();
}

function temporaryFiles(): Promise<string[]> {
  return readdir(join(disk.path, 'tmp'));
}

itNeeds(missing.writes)(
  `a disk that takes no writes stops only itself${needing(missing.writes)}`,
  async () => {
    const { pid } = cluster.keepers[0]!;
    const paths = ['/up-1', '/up-2', '/up-3'];
    let isOver = false;
    const before = Promise.all([...paths.map(upload), download('/first')]).finally(() => (isOver = true));
    before.catch(() => undefined);
    await waitFor(
      'pieces to be on their way to the disk',
      async () => isOver || (await temporaryFiles()).length > 0,
    );
    await disk.freeze();
    // Whatever was done by then: this one finds it hung.
    paths.push('/up-0');
    const work = Promise.all([before, upload('/up-0')]);
    work.catch(() => undefined);
    await waitFor('the keeper to be stuck in it', async () => (await hungThreads(pid!)) > 0);
    await staysAlive(work);
    await staysAlive(Promise.all([upload('/up-4'), download('/up-1')]));
    expect(await hungThreads(pid!)).toBeGreaterThan(0);
    await disk.thaw();
    await isWholeAgain(['/first', ...paths, '/up-4']);
  },
  600_000,
);

itNeeds(missing.reads)(
  `a disk that gives no reads stops only itself${needing(missing.reads)}`,
  async () => {
    const { pid } = cluster.keepers[0]!;
    await upload('/read');
    await disk.hangReads(pid!);
    // Readers spread at random: with 6 chunks each, some ask this keeper first.
    await staysAlive(Promise.all([download('/read'), download('/first'), download('/read')]));
    expect(await hungThreads(pid!)).toBeGreaterThan(0);
    await staysAlive(Promise.all([download('/first'), upload('/after')]));
    await disk.releaseReads();
    await isWholeAgain(['/first', '/read', '/after']);
  },
  600_000,
);
