/**
 * Clients that stand still in the middle of a transfer, as many as a keeper takes but one: what they pin is bounded,
 * the last one gets all its bytes meanwhile, and the keeper ends the others after its stall time.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type HoldfastClient, connect } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { peakResidentBytesOf } from '../support/command.js';
import { sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { RawClient, type Stalled } from '../support/keeper-calls.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';
import { waitFor } from '../support/wait.js';

const MiB = 1024 ** 2;
/** The keeper takes 128 reads and 64 writes at a time. */
const stalledReaders = 127;
const stalledWriters = 63;
/**
 * The message that waits to be sent, and the one read ahead: as long as the share of those who read by then allows.
 * What HTTP/2's window lets out is the client's to hold.
 */
const bytesOfReader = (readers: number): number => Math.min(2 * MiB, (64 * MiB) / readers);
/** What the keeper waits for a client. */
const stallMs = 15_000;
/** The last message that came. */
const bytesOfWriter = MiB;
/** The transfer meanwhile, and buffers that are no longer used and not yet collected. */
const bytesOfOthers = 64 * MiB;
const sizeBytes = 40 * MiB;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let expectAsBefore: () => Promise<void>;
let client: HoldfastClient;
let raw: RawClient;
let source: string;
let digest: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  source = join(folder.path, 'source.bin');
  digest = await writeSeededFile(source, sizeBytes, 20_261_122);
  ({ cluster, expectAsBefore } = await startMeasuredCluster(1, join(folder.path, 'cluster')));
  client = await connect({ tracker: cluster.trackerAddress });
  raw = new RawClient(cluster.trackerAddress, cluster.keepers[0]!.address);
  await client.upload(source, '/file', { replicas: 1, minWrite: 1 });
});

afterAll(async () => {
  raw.close();
  client.close();
  await cluster.stop();
  await folder.remove();
});

function peakBytes(): number {
  return peakResidentBytesOf(cluster.keepers[0]!.pid);
}

function temporaryFiles(): Promise<string[]> {
  return readdir(join(cluster.keepers[0]!.dataDir, 'tmp'));
}

/** How the keeper ended each of them. */
function endsOf(stalled: readonly Stalled[]): Promise<unknown[]> {
  return Promise.all(stalled.map(({ ended }) => ended()));
}

it('readers that stand still pin little and are dropped', async () => {
  const beforeBytes = peakBytes();
  const stalled = await Promise.all(Array.from({ length: stalledReaders }, () => raw.stallReading('/file')));
  const target = join(folder.path, 'back.bin');
  await client.download('/file', target, { concurrency: 1 });
  expect(await sha256Of(target)).toBe(digest);
  const bytesOfReaders = stalled.reduce((sum, _reader, index) => sum + bytesOfReader(index + 1), 0);
  expect(peakBytes() - beforeBytes).toBeLessThan(bytesOfReaders + bytesOfOthers);
  const next: Stalled[] = [];
  await waitFor('as many others to have got their places', async () => {
    // As many as there is room for: the first that is refused ends this look.
    for (;;) {
      next.push(await raw.stallReading('/file'));
      if (next.length === stalledReaders) return true;
    }
  });
  // Not a status behind megabytes that nobody takes: nothing of them is left in the keeper.
  for (const end of await endsOf(stalled)) expect(end).toMatchObject({ code: 'LIMIT_EXCEEDED' });
});

it('writers that stand still pin little and are dropped', async () => {
  const beforeBytes = peakBytes();
  let beganMs = 0;
  // Where the machine is slow the first are dropped before the last has begun: then all begin once more.
  const stalled = await waitFor('all of them to have begun', async () => {
    await waitFor('the temp files to be gone', async () => (await temporaryFiles()).length === 0);
    beganMs = performance.now();
    const all = await raw.stallWriting(stalledWriters, 16 * MiB, MiB);
    for (let begun = 0; begun < stalledWriters; begun = (await temporaryFiles()).length) {
      if (performance.now() - beganMs > stallMs) throw new Error(`${begun} have begun`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return all;
  });
  await client.upload(source, '/meanwhile', { replicas: 1, minWrite: 1, concurrency: 1 });
  const left = (await temporaryFiles()).length;
  // Unless that took longer than they are waited for.
  if (performance.now() - beganMs < stallMs) expect(left).toBe(stalledWriters);
  expect(peakBytes() - beforeBytes).toBeLessThan(stalledWriters * bytesOfWriter + bytesOfOthers);
  for (const end of await endsOf(stalled)) {
    expect(end).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringMatching(/no blocks came/),
    });
  }
  await waitFor('the temp files to be gone', async () => (await temporaryFiles()).length === 0);
});

it('in the end the check finds nothing, and nobody holds more than before', () => expectAsBefore());
