/**
 * What was deleted comes back byte for byte when it is asked for, and its room comes back when it is not: through
 * a real cluster in this process.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { HoldfastClient, TrashedVersion } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { runHere } from '../support/command-here.js';
import { readAll, seededBytes } from '../support/files.js';
import { waitFor } from '../support/wait.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const chunkSizeBytes = 64 * 1024;
const quick = { repairTickMs: 100, heartbeatIntervalMs: 100 };
const keeperSettings = { trashTtlMs: 100, trashIntervalMs: 50 };

async function usedBytes(client: HoldfastClient): Promise<number> {
  const { keepers } = await client.status();
  return keepers.reduce((sum, keeper) => sum + keeper.usedBytes, 0);
}

async function trashOf(client: HoldfastClient, path?: string): Promise<TrashedVersion[]> {
  const found: TrashedVersion[] = [];
  for await (const version of client.listTrash(path)) found.push(version);
  return found;
}

describe(`the trash (HOLDFAST_SEED=${seed})`, () => {
  let cluster: Cluster;
  let client: HoldfastClient;
  const contents = new Map<string, Buffer>();
  const put = async (path: string, sizeBytes: number): Promise<Buffer> => {
    const bytes = seededBytes(seed + contents.size, sizeBytes);
    contents.set(`${path} ${contents.size}`, bytes);
    await client.upload(bytes, path, { chunkSizeBytes, overwrite: true, createParents: true });
    return bytes;
  };
  const read = (path: string): Promise<Buffer> => readAll(client.createReadStream(path));

  beforeAll(async () => {
    cluster = await startCluster({
      keepers: 3,
      trackerSettings: { ...quick, reclaimGraceMs: 1_000 },
      keeperSettings,
    });
    client = await cluster.connect();
  });
  afterAll(() => cluster.stop());

  it('has what was deleted and what was replaced, also after the tracker was killed', async () => {
    const first = await put('/file', 3 * chunkSizeBytes + 5);
    const second = await put('/file', 2 * chunkSizeBytes);
    await client.remove('/file');
    await cluster.tracker.kill();
    await cluster.tracker.start();
    const listed = await trashOf(client, '/file');
    expect(listed.map(({ sizeBytes, replaced }) => [sizeBytes, replaced])).toEqual([
      [second.length, false],
      [first.length, true],
    ]);
    await client.restore('/file');
    expect((await read('/file')).equals(second)).toBe(true);
    await client.restore('/file', { version: listed[1]!.version, overwrite: true });
    expect((await read('/file')).equals(first)).toBe(true);
    await client.restore('/file', { to: '/new/place' });
    expect((await read('/new/place')).equals(second)).toBe(true);
    expect(await trashOf(client)).toEqual([]);
  });

  it('has a deleted tree, which the command line restores file by file', async () => {
    const files = new Map<string, Buffer>();
    for (let index = 0; index < 12; index += 1) {
      const path = `/tree/d${index % 3}/f\n${index}`;
      files.set(path, await put(path, (index * chunkSizeBytes) / 4));
    }
    await client.remove('/tree', { recursive: true });
    const words = ['trash', 'restore', '-r', '/tree', '--tracker', cluster.trackerAddress];
    const { status, stdout } = await runHere(words);
    expect({ status, said: stdout.toString() }).toMatchObject({
      status: 0,
      said: expect.stringMatching(/^restored 12 files/),
    });
    for (const [path, bytes] of files) expect((await read(path)).equals(bytes)).toBe(true);
    expect(await trashOf(client)).toEqual([]);
  });

  it('gives its room back when it is emptied, also when the tracker is killed meanwhile', async () => {
    const before = await usedBytes(client);
    for (let index = 0; index < 8; index += 1) await put(`/gone/f${index}`, 5 * chunkSizeBytes);
    await waitFor(
      'the files to be stored',
      async () => (await usedBytes(client)) >= before + 8 * 5 * chunkSizeBytes * 3,
    );
    await client.remove('/gone', { recursive: true });
    const shown = await read('/file');
    expect(await client.emptyTrash('/gone')).toEqual({ versions: 8, bytes: 8 * 5 * chunkSizeBytes });
    await expect(client.restore('/gone/f0')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await cluster.tracker.kill();
    await cluster.tracker.start();
    await waitFor('the room to come back', async () => (await usedBytes(client)) === before);
    expect((await read('/file')).equals(shown)).toBe(true);
    await expect(client.restore('/gone/f0')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('takes a restored file out of reach of the reclamation of what it was', async () => {
    const stored = (await usedBytes(client)) + 2 * 4 * chunkSizeBytes * 3;
    const bytes = await put('/again', 4 * chunkSizeBytes);
    await client.remove('/again');
    await client.restore('/again');
    await put('/bait', 4 * chunkSizeBytes);
    await waitFor('both to be told', async () => (await usedBytes(client)) >= stored);
    await client.remove('/bait');
    await client.emptyTrash();
    // The bait was given up after the old version of the file: when its room is back, that one is gone too.
    await waitFor('the room to come back', async () => (await usedBytes(client)) < stored);
    expect((await read('/again')).equals(bytes)).toBe(true);
  });
});

it('a download is not cut when what it reads is deleted and given up', async () => {
  const trackerSettings = { ...quick, reclaimGraceMs: 300_000 };
  const cluster = await startCluster({ keepers: 3, trackerSettings, keeperSettings });
  try {
    const client = await cluster.connect();
    const bytes = seededBytes(seed, 100 * chunkSizeBytes);
    await client.upload(bytes, '/read', { chunkSizeBytes });
    const parts: Buffer[] = [];
    for await (const part of client.createReadStream('/read')) {
      if (parts.length === 0) {
        await client.remove('/read');
        await client.emptyTrash();
      }
      parts.push(part as Buffer);
    }
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  } finally {
    await cluster.stop();
  }
});

describe('a trash with little time or room', () => {
  it('gives its room back by itself', async () => {
    const cluster = await startCluster({
      keepers: 3,
      trackerSettings: { ...quick, reclaimGraceMs: 200, trashRetentionMs: 500 },
      keeperSettings,
    });
    try {
      const client = await cluster.connect();
      await client.upload(Buffer.alloc(chunkSizeBytes), '/file');
      await client.remove('/file');
      await waitFor('their time', async () => (await trashOf(client)).length === 0);
      await waitFor('the room to come back', async () => (await usedBytes(client)) === 0);
    } finally {
      await cluster.stop();
    }
  });

  it('gives way to new files', async () => {
    const keepers = Array.from({ length: 3 }, () => ({ capacityBytes: 32 * chunkSizeBytes }));
    const cluster = await startCluster({
      keepers,
      trackerSettings: { ...quick, reclaimGraceMs: 200, defaultChunkSizeBytes: chunkSizeBytes },
      keeperSettings,
    });
    try {
      const client = await cluster.connect();
      for (let round = 0; round < 3; round += 1) {
        const bytes = seededBytes(seed + round, 20 * chunkSizeBytes);
        await waitFor('room', async () => client.upload(bytes, '/file'));
        expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
        await client.remove('/file');
      }
      // Two copies of each of the three are more than there is room for. How many of the others are left depends on
      // when the room of the first came back.
      const left = (await trashOf(client)).map(({ version }) => version);
      expect(left).not.toContain(1);
      expect(left).toContain(3);
    } finally {
      await cluster.stop();
    }
  });
});

describe('a cluster of three times a file', () => {
  const fileBytes = 12 * chunkSizeBytes;
  let cluster: Cluster;
  let client: HoldfastClient;
  const replace = async (round: number): Promise<Buffer> => {
    const bytes = seededBytes(seed + round, fileBytes);
    await client.upload(bytes, '/file', { overwrite: true });
    return bytes;
  };

  beforeEach(async () => {
    cluster = await startCluster({
      keepers: Array.from({ length: 3 }, () => ({ capacityBytes: 3.5 * fileBytes })),
      // The grace of reclamation is 10 minutes, as ever; so is the time that keepers keep their own trash.
      trackerSettings: { ...quick, defaultChunkSizeBytes: chunkSizeBytes },
    });
    client = await cluster.connect();
  });
  afterEach(() => cluster.stop());

  it('takes it over and over again', async () => {
    let bytes: Buffer = Buffer.alloc(0);
    for (let round = 0; round < 5; round += 1) bytes = await replace(round);
    expect((await readAll(client.createReadStream('/file'))).equals(bytes)).toBe(true);
    await expect(client.upload(seededBytes(seed, 4 * fileBytes), '/more')).rejects.toMatchObject({
      code: 'OUT_OF_SPACE',
    });
  });

  it('does not cut who reads a version that was replaced, and gives others up for it', async () => {
    const bytes = await replace(0);
    const parts: Buffer[] = [];
    for await (const part of client.createReadStream('/file')) {
      // While this one is read there is room for one other.
      if (parts.length === 0) for (let round = 1; round < 4; round += 1) await replace(round);
      parts.push(part as Buffer);
    }
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
  });
});
