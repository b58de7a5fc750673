/**
 * Damage of every kind on real disks, under real keepers: the scrub finds it, sets it aside, and a verified copy takes
 * its place. Files that are good stay as they are, byte by byte.
 */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { access, open, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readAll, seededBytes } from '../support/files.js';
import { listKeepers } from '../support/keeper-calls.js';
import { waitForCopies } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

const chunk = 256 * 1024;
let cluster: Cluster;
let client: HoldfastClient;

beforeEach(async () => {
  cluster = await startCluster({
    keepers: 3,
    trackerSettings: {
      heartbeatIntervalMs: 50,
      suspectAfterMs: 2_000,
      deadAfterMs: 60_000,
      repairTickMs: 50,
    },
    // A round takes 0.8 s at least, and may take all of the disk.
    keeperSettings: {
      scrubPeriodMs: 1_000,
      scrubShare: 1,
      scrubShareBesideClients: 1,
      scrubSaveIntervalMs: 0,
    },
  });
  client = await cluster.connect();
});

afterEach(() => cluster.stop());

/** The paths of the pieces of a keeper, by chunk. */
async function piecesOf(index: number): Promise<string[]> {
  const chunks = join(cluster.keepers[index]!.dataDir, 'chunks');
  const names = await readdir(chunks, { recursive: true });
  return names
    .filter((name) => name.endsWith('.0'))
    .sort()
    .map((name) => join(chunks, name));
}

function quarantineOf(index: number): Promise<string[]> {
  return readdir(join(cluster.keepers[index]!.dataDir, 'quarantine'));
}

async function flip(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, position);
  byte[0]! ^= 0x10;
  await file.write(byte, 0, 1, position);
  await file.close();
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

describe('a piece on one keeper', () => {
  it.each<[string, (path: string, other: string) => Promise<void>]>([
    ['whose header has a flipped bit', (path) => flip(path, 30)],
    ['whose data has a flipped bit', (path) => flip(path, 4_096 + 100_000)],
    ['whose checksums have a flipped bit', (path) => flip(path, 4_096 + chunk + 5)],
    ['whose footer has a flipped bit', (path) => flip(path, 4_096 + chunk + 20)],
    ['that is cut off', (path) => truncate(path, 50_000)],
    ['that is empty', (path) => truncate(path, 0)],
    ['that is longer', async (path) => writeFile(path, Buffer.alloc(100), { flag: 'a' })],
    [
      'that changed places with another',
      async (path, other) => {
        await rename(path, `${path}.x`);
        await rename(other, path);
        await rename(`${path}.x`, other);
      },
    ],
  ])('%s is found, set aside and copied anew; the others are not touched', async (_what, damage) => {
    const bytes = seededBytes(1, 6 * chunk);
    await client.upload(bytes, '/file', { chunkSizeBytes: chunk });
    await waitForCopies(client, '/file', 3);
    const before = await Promise.all([0, 1, 2].map(piecesOf));
    const contents = new Map<string, Buffer>();
    for (const path of before.flat()) contents.set(path, await readFile(path));
    const [path, other] = [before[1]![2]!, before[1]![4]!];
    await damage(path, other);
    const swapped = !(await readFile(other)).equals(contents.get(other)!);
    const damaged = swapped ? [path, other] : [path];
    const wanted = damaged.map(nameOf).sort();
    await waitFor('the damage to be found', async () => {
      return (await quarantineOf(1)).sort().join() === wanted.join();
    });
    await waitFor('the pieces to be copied anew', () =>
      Promise.all(damaged.map((each) => access(each))).then(() => true),
    );
    await waitFor(
      'all copies to be counted',
      async () => (await client.stat('/file')).durability?.fewest === 3,
    );
    // The same bytes everywhere, the new ones included, and nothing else is in quarantine.
    for (const [name, content] of contents) expect((await readFile(name)).equals(content)).toBe(true);
    expect((await quarantineOf(1)).sort()).toEqual(wanted);
    expect(await quarantineOf(0)).toEqual([]);
    expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
  });
});

it('status says how far each keeper has read, of how much, and how often', async () => {
  await client.upload(seededBytes(2, 4 * chunk), '/file', { chunkSizeBytes: chunk });
  await waitForCopies(client, '/file', 3);
  const status = await waitFor('two whole rounds of every keeper', async () => {
    const keepers = await listKeepers(cluster.trackerAddress);
    return keepers.every((keeper) => (keeper.scrub?.rounds ?? 0) >= 2) ? keepers : undefined;
  });
  for (const { scrub } of status) {
    expect(scrub!.expectedPieces).toBe(4);
    expect(scrub!.scannedPieces).toBeLessThanOrEqual(4);
    expect(scrub!.previousStartedAtUnixMs).toBeGreaterThan(0);
  }
});

it('with every copy bad the chunk is DATA_LOSS, every copy is kept, and one that is put back is read again', async () => {
  const bytes = seededBytes(3, chunk);
  await client.upload(bytes, '/file', { chunkSizeBytes: chunk });
  await waitForCopies(client, '/file', 3);
  await client.upload(seededBytes(4, chunk), '/other', { chunkSizeBytes: chunk });
  await waitForCopies(client, '/other', 3);
  const path = (await piecesOf(0))[0]!;
  const name = nameOf(path);
  const paths = [0, 1, 2].map((index) =>
    join(cluster.keepers[index]!.dataDir, 'chunks', name.slice(0, 2), name),
  );
  const good = await readFile(paths[0]!);
  for (const [index, copy] of paths.entries()) await flip(copy, 4_096 + index * 70_000);
  await waitFor('every copy to be found bad', async () => (await client.status()).chunksUnreadable === 1);
  for (const index of [0, 1, 2]) expect(await quarantineOf(index)).toEqual([name]);
  const outcomeOf = (path: string): Promise<unknown> =>
    readAll(client.createReadStream(path)).catch((error: unknown) => error);
  const [lost, other] = [await outcomeOf('/file'), await outcomeOf('/other')];
  const failed = [lost, other].filter((outcome) => !Buffer.isBuffer(outcome));
  expect(failed).toMatchObject([{ code: 'DATA_LOSS' }]);
  // A person mends one by hand.
  await cluster.keepers[1]!.stop();
  await writeFile(paths[1]!, good);
  await cluster.keepers[1]!.start();
  await waitFor('all copies to be back', async () => (await client.stat('/file')).durability?.fewest === 3);
  expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
  for (const index of [0, 1, 2]) expect(await quarantineOf(index)).toEqual([name]);
});

it('a directory of pieces that is deleted under a running keeper is made anew and filled again', async () => {
  const bytes = seededBytes(5, 8 * chunk);
  await client.upload(bytes, '/file', { chunkSizeBytes: chunk });
  await waitForCopies(client, '/file', 3);
  const pieces = await piecesOf(2);
  const victim = pieces[3]!;
  const content = await readFile(victim);
  await rm(join(victim, '..'), { recursive: true });
  await waitFor('the piece to be back', async () => (await readFile(victim)).equals(content));
  await waitFor('all copies to be counted', async () => (await client.status()).chunksBelowPolicy === 0);
  expect(await piecesOf(2)).toEqual(pieces);
  const { keepers } = await client.status();
  expect(keepers.map((keeper) => keeper.storageError)).toEqual(['', '', '']);
});

it('a keeper that lost everything below chunks/ while it was down does not start as if that were nothing', async () => {
  await client.upload(seededBytes(6, chunk), '/file', { chunkSizeBytes: chunk });
  await waitForCopies(client, '/file', 3);
  const keeper = cluster.keepers[0]!;
  await keeper.stop();
  for (const shard of await readdir(join(keeper.dataDir, 'chunks')))
    await rm(join(keeper.dataDir, 'chunks', shard), { recursive: true });
  await expect(keeper.start()).rejects.toMatchObject({ code: 'DATA_DIR_INVALID' });
});
