/**
 * The digest of a file is the same here and there, whatever chunks it is stored in, and goes where its bytes go:
 * through a real cluster in this process.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type HoldfastClient, contentDigest } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/command.js';
import { seededBytes, temporaryFolder, writeSeededFile } from '../support/files.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const KiB = 1024;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let client: HoldfastClient;
beforeAll(async () => {
  folder = await temporaryFolder();
  cluster = await startCluster({ keepers: 3 });
  client = await cluster.connect();
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

it(`is that of the local file, from its upload to its last copy (HOLDFAST_SEED=${seed})`, async () => {
  const local = join(folder.path, 'local');
  await writeSeededFile(local, 5_000_000 + (seed % 100_000), seed);
  const digest = await contentDigest(local);
  const digestAt = async (path: string) => (await client.stat(path)).contentDigest;

  const uploaded = await client.upload(local, '/d/file', {
    ...{ createParents: true, chunkSizeBytes: 100_000 },
  });
  expect(uploaded.contentDigest).toBe(digest);
  await client.upload(createReadStream(local), '/d/stream');
  const listed: (string | undefined)[] = [];
  for await (const entry of client.list('/d')) listed.push(entry.contentDigest);
  expect(listed).toEqual([digest, digest]);

  await client.copy('/d/file', '/d/copy');
  await client.move('/d/stream', '/d/moved');
  await client.upload(seededBytes(seed + 1, 70 * KiB), '/d/file', { overwrite: true });
  const other = await digestAt('/d/file');
  expect(other).toBe(await contentDigest(seededBytes(seed + 1, 70 * KiB)));
  await client.remove('/d/file');
  await cluster.tracker.kill();
  await cluster.tracker.start();
  expect((await client.restore('/d/file')).contentDigest).toBe(other);
  expect(await digestAt('/d/copy')).toBe(digest);
  expect(await digestAt('/d/moved')).toBe(digest);

  const back = join(folder.path, 'back');
  await client.download('/d/copy', back);
  expect(await contentDigest(back)).toBe(digest);
  await client.upload(Buffer.alloc(0), '/d/empty');
  expect(await digestAt('/d/empty')).toBe(await contentDigest(Buffer.alloc(0)));
  expect(await digestAt('/d')).toBeUndefined();
});

it('is shown by the command line', async () => {
  await client.upload(Buffer.alloc(70_000, 'a'), '/shown');
  const digest = 'f381fc37f4c44ef04d4a1940795bc20b3b527d3428ad1524d86ade3e89d52417';
  const flags = ['--tracker', cluster.trackerAddress];
  const words = await run('client', ['stat', '/shown', ...flags]);
  expect(words.stdout.toString()).toContain(`\ndigest    ${digest}\n`);
  const document = await run('client', ['stat', '/shown', '--json', ...flags]);
  expect(JSON.parse(document.stdout.toString())).toMatchObject({ contentDigest: digest });
  const stored = await run('client', ['upload', '-', '/stored', '--json', ...flags], {
    input: Buffer.alloc(70_000, 'a'),
  });
  expect(JSON.parse(stored.stdout.toString())).toMatchObject({ event: 'uploaded', contentDigest: digest });
});
