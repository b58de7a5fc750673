/**
 * Small files that share chunks, through a real cluster in this process: each is as durable, as readable and as much a
 * file of its own as if it had gone alone.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type FileToUpload, type HoldfastClient, contentDigest } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../support/command.js';
import { readAll, seededBytes, temporaryFolder } from '../support/files.js';
import { waitFor } from '../support/wait.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const block = 64 * 1024;
/** Of ranges that begin and end anywhere in the blocks that files share. */
const sizeOf = (index: number): number =>
  [0, 1, block - 1, block, block + 1, 3 * block + 7][index] ?? 1 + ((index * 7_919) % 16_384);

describe(`packs (HOLDFAST_SEED=${seed})`, () => {
  let cluster: Cluster;
  let client: HoldfastClient;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const contents = new Map<string, Buffer>();
  const read = (path: string): Promise<Buffer> => readAll(client.createReadStream(path));
  const check = async (path: string): Promise<void> => {
    const bytes = await read(path);
    if (!bytes.equals(contents.get(path)!)) throw new Error(`${path} came back with other bytes`);
  };

  beforeAll(async () => {
    folder = await temporaryFolder();
    cluster = await startCluster({
      keepers: 4,
      trackerSettings: {
        repairTickMs: 100,
        heartbeatIntervalMs: 100,
        reclaimGraceMs: 500,
        trashRetentionMs: 0,
        // Surplus copies of one that seemed dead would be trimmed while room is counted.
        deadAfterMs: 600_000,
      },
      // However long a keeper is late, three copies are there when an upload returns.
      keeperSettings: { trashTtlMs: 100, trashIntervalMs: 50, followerStallMs: 60_000 },
    });
    client = await cluster.connect();
    for (let index = 0; index < 240; index += 1) {
      contents.set(`/tree/${index % 7}/${index}`, seededBytes(seed + index, sizeOf(index)));
    }
    for (const [path, bytes] of contents) {
      const local = join(folder.path, path);
      await mkdir(dirname(local), { recursive: true });
      await writeFile(local, bytes);
    }
  });
  afterAll(async () => {
    await cluster.stop();
    await folder.remove();
  });

  it('store every file whole, as the tracker and its keepers see it', async () => {
    const files: FileToUpload<string>[] = [...contents.keys()].map((path) => ({
      source: join(folder.path, path),
      path,
    }));
    const errors: unknown[] = [];
    for await (const { file, result, error } of client.uploadMany(files, { createParents: true })) {
      if (error) errors.push([file.path, error]);
      else expect(result.copies).toMatchObject({ fewest: result.sizeBytes > 0 ? 3 : 0 });
    }
    expect(errors).toEqual([]);
    for (const path of contents.keys()) await check(path);
    // A commit is counted a moment later.
    const { chunks } = await waitFor('all files to be counted', async () => {
      const status = await client.status();
      return status.files === contents.size ? status : undefined;
    });
    expect(chunks).toBeLessThan(5);
    const path = '/tree/5/5';
    expect(await client.stat(path)).toMatchObject({
      ...{ sizeBytes: sizeOf(5), contentDigest: await contentDigest(contents.get(path)!) },
      durability: { chunks: 1, fewest: 3, wanted: 3 },
    });
  });

  it('read ranges of a file, and nothing of its neighbours', async () => {
    const path = '/tree/5/5';
    const bytes = contents.get(path)!;
    for (const [start, end] of [
      [0, 0],
      [1, block],
      [block - 1, 2 * block + 3],
      [bytes.length - 1, bytes.length - 1],
    ] as const) {
      const got = await readAll(client.createReadStream(path, { start, end }));
      expect(got.equals(bytes.subarray(start, end + 1))).toBe(true);
    }
  });

  it('survive the tracker, and a keeper that is gone', async () => {
    await cluster.killAll();
    await cluster.startAll();
    await waitFor('the keepers to be back', async () =>
      (await client.status()).keepers.every(({ state }) => state === 'live'),
    );
    await cluster.keepers[0]!.kill();
    for (const path of contents.keys()) await check(path);
    await cluster.keepers[0]!.start();
  });

  it('give a chunk up with its last file only, and the check finds nothing wrong on the way', async () => {
    await waitFor('all copies', async () => {
      const { keepers, chunksBelowPolicy } = await client.status();
      return chunksBelowPolicy === 0 && keepers.every(({ state }) => state === 'live');
    });
    const used = async () =>
      (await client.status()).keepers.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
    const full = await used();
    // Every pack has files of every directory.
    for (let top = 1; top < 7; top += 1) await client.remove(`/tree/${top}`, { recursive: true });
    expect((await client.check()).findings).toEqual([]);
    for (const path of contents.keys()) if (path.startsWith('/tree/0/')) await check(path);
    expect(await used()).toBe(full);
    await client.remove('/tree', { recursive: true });
    await waitFor('the chunks to go', async () => (await client.status()).chunks === 0);
    await waitFor('the room to come back', async () => (await used()) < full / 2);
  });

  it('are what upload -r makes of a tree, file by file for who reads its lines', async () => {
    const upload = async (...more: string[]) => {
      const words = ['upload', '-r', `${folder.path}/tree/.`, '/again', '--json', ...more];
      const { status, stdout } = await run('client', [...words, '--tracker', cluster.trackerAddress]);
      const lines = stdout.toString().trim().split('\n');
      return { status, events: lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
    };
    const first = await upload();
    expect(first.status).toBe(0);
    expect(first.events.filter(({ event }) => event === 'uploaded')).toHaveLength(contents.size);
    expect(first.events.at(-1)).toMatchObject({ event: 'summary', files: contents.size, failed: 0 });
    await writeFile(join(folder.path, 'tree', 'new'), 'new');
    const second = await upload();
    expect(second.status).toBe(4);
    expect(second.events.filter(({ error }) => error !== undefined)).toHaveLength(contents.size);
    expect(second.events.at(-1)).toMatchObject({ event: 'summary', files: 1, failed: contents.size });
    expect((await upload('--force')).status).toBe(0);
    for (const [path, bytes] of contents) {
      if (!(await read(path.replace('/tree', '/again'))).equals(bytes)) throw new Error(`${path} differs`);
    }
  });
});
