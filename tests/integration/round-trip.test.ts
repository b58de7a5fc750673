/**
 * What goes in comes out: every awkward size and every awkward name, through a real cluster in this process.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { awkwardNames, awkwardSizes } from '../support/awkward.js';
import { readAll, seededBytes, temporaryFolder } from '../support/files.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const block = 64 * 1024;
const chunk = 256 * 1024;
const sizes = awkwardSizes(block, chunk);

let cluster: Cluster;
let client: HoldfastClient;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeAll(async () => {
  folder = await temporaryFolder();
  // However long a keeper is late, three copies are there when an upload returns.
  cluster = await startCluster({ keepers: 3, keeperSettings: { followerStallMs: 60_000 } });
  client = await cluster.connect();
});

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

describe(`sizes (HOLDFAST_SEED=${seed})`, () => {
  it.each(sizes)('%d bytes from a file to a file', async (size) => {
    const bytes = seededBytes(seed + size, size);
    const source = join(folder.path, `source-${size}`);
    await writeFile(source, bytes);
    const result = await client.upload(source, `/file-${size}`, { chunkSizeBytes: chunk });
    expect(result.sizeBytes).toBe(size);
    expect(result.copies.chunks).toBe(Math.ceil(size / chunk));
    if (size > 0) expect(result.copies).toMatchObject({ fewest: 3, wanted: 3 });
    const target = join(folder.path, `target-${size}`);
    await client.download(`/file-${size}`, target);
    expect((await readFile(target)).equals(bytes)).toBe(true);
  });

  it.each(sizes)('%d bytes from a stream to a stream', async (size) => {
    const bytes = seededBytes(seed - size, size);
    // Parts that fit neither blocks nor chunks.
    const parts: Buffer[] = [];
    for (let offset = 0; offset < size; offset += 99_991) parts.push(bytes.subarray(offset, offset + 99_991));
    await client.upload(Readable.from(parts), `/stream-${size}`, { chunkSizeBytes: chunk });
    expect((await readAll(client.createReadStream(`/stream-${size}`))).equals(bytes)).toBe(true);
  });

  it('ranges of every kind', async () => {
    const size = 3 * chunk + 1_000;
    const bytes = seededBytes(seed, size);
    await client.upload(bytes, '/ranges', { chunkSizeBytes: chunk });
    const ranges = [
      [0, 0],
      [1, block],
      [block - 1, block],
      [chunk - 1, chunk],
      [chunk - 5, 2 * chunk + 5],
      [size - 1, size - 1],
      [0, size - 1],
    ] as const;
    for (const [start, end] of ranges) {
      const got = await readAll(client.createReadStream('/ranges', { start, end }));
      expect({ start, end, same: got.equals(bytes.subarray(start, end + 1)) }).toEqual({
        start,
        end,
        same: true,
      });
    }
  });

  it('through createWriteStream', async () => {
    const bytes = seededBytes(seed, 2 * chunk + 3);
    const stream = client.createWriteStream('/written', { chunkSizeBytes: chunk });
    await new Promise<void>((resolve, reject) => {
      stream.once('error', reject).once('finish', resolve);
      stream.write(bytes.subarray(0, 100_000));
      stream.end(bytes.subarray(100_000));
    });
    expect((await readAll(client.createReadStream('/written'))).equals(bytes)).toBe(true);
  });
});

describe('names', () => {
  it('come back from a listing exactly as they were given, in byte order', async () => {
    await client.makeDirectory('/names');
    for (const name of awkwardNames) await client.upload(Buffer.from(name), `/names/${name}`);
    const listed: string[] = [];
    for await (const entry of client.list('/names')) listed.push(entry.path.slice('/names/'.length));
    expect(listed).toEqual([...awkwardNames].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    for (const name of awkwardNames) {
      const bytes = await readAll(client.createReadStream(`/names/${name}`));
      expect(bytes.toString()).toBe(name);
    }
  });
});
