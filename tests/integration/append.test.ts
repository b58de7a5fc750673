/** What is appended is behind what was there, byte for byte, whoever appends and dies meanwhile: through real clusters. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type HoldfastClient, contentDigest } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../support/command.js';
import { readAll, seededBytes, temporaryFolder } from '../support/files.js';
import { waitFor } from '../support/wait.js';
import { lookAtDisk } from '../support/keeper-disk.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const chunkSizeBytes = 64 * 1024;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let client: HoldfastClient;
let flags: string[];
beforeAll(async () => {
  folder = await temporaryFolder();
  cluster = await startCluster({
    keepers: 3,
    trackerSettings: { repairTickMs: 100, heartbeatIntervalMs: 100, reclaimGraceMs: 500 },
    // However long a keeper is late, three copies are there when an upload returns.
    keeperSettings: { trashTtlMs: 100, trashIntervalMs: 50, followerStallMs: 60_000 },
  });
  client = await cluster.connect();
  flags = ['--tracker', cluster.trackerAddress];
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

const read = (path: string): Promise<Buffer> => readAll(client.createReadStream(path));

/** The files of pieces on all keepers' disks, wherever. */
async function pieceFiles(): Promise<number> {
  const disks = await Promise.all(cluster.keepers.map(({ dataDir }) => lookAtDisk(dataDir)));
  return disks.reduce((sum, { files }) => sum + files.length, 0);
}

it(`puts bytes behind those that are there, which others may share (HOLDFAST_SEED=${seed})`, async () => {
  const parts = [0, 1, 2, 3].map((index) =>
    seededBytes(seed + index, index * chunkSizeBytes + 1_000 + index),
  );
  const attributes = { mode: 0o640 };
  await client.upload(parts[0]!, '/log', { chunkSizeBytes, replicas: 2, minWrite: 1, attributes });
  await client.copy('/log', '/copy');
  for (const [index, part] of parts.slice(1).entries()) {
    const result = await client.append(part, '/log', { chunkSizeBytes });
    const whole = Buffer.concat(parts.slice(0, index + 2));
    expect(result).toMatchObject({ path: '/log', sizeBytes: whole.length });
    expect(result).not.toHaveProperty('contentDigest');
    expect((await read('/log')).equals(whole)).toBe(true);
  }
  const whole = Buffer.concat(parts);
  const entry = await client.stat('/log');
  expect(entry).toMatchObject({
    ...{ sizeBytes: whole.length, attributes: { mode: 0o640 }, policy: { pieces: 2, minWrite: 1 } },
    durability: { chunks: 1 + 2 + 3 + 4, wanted: 2 },
  });
  expect(entry.contentDigest).toBeUndefined();
  const range = client.createReadStream('/log', { start: 500, end: 1_500 });
  expect((await readAll(range)).equals(whole.subarray(500, 1_501))).toBe(true);
  expect((await read('/copy')).equals(parts[0]!)).toBe(true);

  // The trash has each state before; what they share outlives them.
  const versions: number[] = [];
  for await (const { version } of client.listTrash('/log')) versions.push(version);
  expect(versions).toHaveLength(3);
  await client.restore('/log', { version: versions[0]!, to: '/before' });
  expect((await read('/before')).equals(Buffer.concat(parts.slice(0, 3)))).toBe(true);
  for (const path of ['/log', '/copy']) await client.remove(path);
  await client.emptyTrash();
  await waitFor('only the chunks of /before to be there', async () => (await pieceFiles()) === 6 * 2);
  expect((await read('/before')).equals(Buffer.concat(parts.slice(0, 3)))).toBe(true);
  expect((await client.check()).findings).toEqual([]);
});

it(`keeps what two clients append at once, each in one run (HOLDFAST_SEED=${seed})`, async () => {
  const other = await cluster.connect();
  const rounds = 6;
  const length = 2 * chunkSizeBytes + 7;
  const lettersOf = (who: string) => Buffer.alloc(length, who);
  const appendAll = async (by: HoldfastClient, letters: string): Promise<void> => {
    for (const who of letters) await by.append(lettersOf(who), '/shared', { chunkSizeBytes });
  };
  // Neither knows of the other, and for both the file is missing at first.
  await Promise.all([appendAll(client, 'ABCDEF'), appendAll(other, 'uvwxyz')]);
  const bytes = await read('/shared');
  expect(bytes.length).toBe(2 * rounds * length);
  const order: string[] = [];
  for (let at = 0; at < bytes.length; at += length) {
    const run = bytes.subarray(at, at + length);
    const who = String.fromCharCode(run[0]!);
    expect(run.equals(lettersOf(who))).toBe(true);
    order.push(who);
  }
  // Each client's in its own order.
  expect(order.filter((who) => who < 'a').join('')).toBe('ABCDEF');
  expect(order.filter((who) => who >= 'a').join('')).toBe('uvwxyz');
});

it('appends once although the tracker is killed while it commits', async () => {
  await client.upload(Buffer.from('begin;'), '/once');
  for (let round = 0; round < 5; round += 1) {
    const appending = client.append(Buffer.from(`${round};`), '/once');
    await new Promise((resolve) => setTimeout(resolve, (seed + round * 7) % 40));
    await cluster.tracker.kill();
    await cluster.tracker.start();
    await appending;
  }
  expect((await read('/once')).toString()).toBe('begin;0;1;2;3;4;');
});

it('appends to what it is told to, and to nothing else', async () => {
  const { version } = await client.upload(Buffer.from('a'), '/told');
  await client.upload(Buffer.from('b'), '/told', { overwrite: true });
  const bytes = Buffer.from('x');
  await expect(client.append(bytes, '/told', { expectedVersion: version })).rejects.toMatchObject({
    code: 'VERSION_CONFLICT',
  });
  await expect(client.append(bytes, '/missing', { create: false })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
  await expect(client.append(bytes, '/no/parent')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(client.append(bytes, '/')).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
  expect((await read('/told')).toString()).toBe('b');
  // A file that is made is an upload like any other.
  const made = await client.append(bytes, '/no/parent', { createParents: true });
  expect(made.contentDigest).toBe(await contentDigest(bytes));
});

it('is what the command line does, as >> does', async () => {
  const local = join(folder.path, 'local');
  await writeFile(local, 'one\n');
  const first = await run('client', ['append', local, '/lines', ...flags]);
  expect({ status: first.status, said: first.stdout.toString() }).toMatchObject({
    status: 0,
    said: expect.stringMatching(/local → \/lines: 4 B in .*, now 4 B; 3 copies\n$/),
  });
  const second = await run('client', ['append', '-', '/lines', '--json', ...flags], {
    input: Buffer.from('two\n'),
  });
  expect(JSON.parse(second.stdout.toString())).toMatchObject({
    ...{ event: 'appended', local: '-', path: '/lines', sizeBytes: 8, appendedBytes: 4 },
  });
  expect((await read('/lines')).toString()).toBe('one\ntwo\n');
  const missing = await run('client', ['append', local, '/not-there', '--must-exist', ...flags]);
  expect(missing.status).toBe(3);
  const unreadable = await run('client', ['append', join(folder.path, 'nothing'), '/lines', ...flags]);
  expect({ status: unreadable.status, said: unreadable.stderr }).toMatchObject({
    status: 3,
    said: expect.stringContaining('nothing'),
  });
});
