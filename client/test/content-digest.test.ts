/** The digest of a whole file: by whichever way it is computed, and whatever chunks the file is stored in. */
import { describe, expect, it } from '@jest/globals';
import { createCipheriv, randomInt } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChecksumTable, HoldfastError, blockChecksums, limits } from '@holdfast/shared';
import { ContentDigest } from '../src/core/content-digest.js';
import { MemoryShare } from '../src/core/memory-share.js';
import { contentDigest } from '../src/index.js';
import { streamSource } from '../src/upload/stream-source.js';
import { upload } from '../src/upload/upload.js';
import { FakeCluster } from './support/fake-cluster.js';

const KiB = 1024;
const block = limits.blockSizeBytes;
const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));

/** Numbers from 0 to below `limit`, decided by the seed. */
function seeded(start: number): (limit: number) => number {
  let state = start;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** As fast as the disk: AES-CTR of zeros. */
function bytesOf(random: (limit: number) => number, length: number): Buffer {
  const key = Buffer.alloc(16, String(random(2 ** 31)));
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

function checksumsOf(bytes: Buffer): Buffer {
  const table = new ChecksumTable(bytes.length);
  blockChecksums(bytes).forEach((checksum, index) => table.set(index, checksum));
  return table.bytes();
}

async function* inPieces(bytes: Buffer, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

describe('contentDigest', () => {
  // The vectors of docs/protocol.md.
  it.each([
    ['nothing', Buffer.alloc(0), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    [
      '123456789',
      Buffer.from('123456789'),
      '561352a29992d77b1351cd792192665fd58b1238e1c53d4415df7bf6cb57783e',
    ],
    [
      '70,000 a',
      Buffer.alloc(70_000, 'a'),
      'f381fc37f4c44ef04d4a1940795bc20b3b527d3428ad1524d86ade3e89d52417',
    ],
  ])('of %s is that of the protocol', async (_what, bytes, digest) => {
    expect(await contentDigest(bytes)).toBe(digest);
  });

  it(`is the same for bytes, streams of any pieces and files (HOLDFAST_SEED=${seed})`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-digest-'));
    try {
      const random = seeded(seed);
      for (const length of [1, block - 1, block, block + 1, 3 * block, 3 * block + 1 + random(block)]) {
        const bytes = bytesOf(random, length);
        const path = join(folder, String(length));
        await writeFile(path, bytes);
        const digest = await contentDigest(bytes);
        expect(await contentDigest(path)).toBe(digest);
        expect(await contentDigest(inPieces(bytes, 1 + random(2 * block)))).toBe(digest);
        bytes.writeUInt8(bytes.readUInt8(length - 1) ^ 1, length - 1);
        expect(await contentDigest(bytes)).not.toBe(digest);
      }
      await expect(contentDigest(folder)).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
      await expect(contentDigest(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
      const aborted = AbortSignal.abort(new HoldfastError('CANCELLED', 'enough'));
      await expect(contentDigest(join(folder, '1'), { signal: aborted })).rejects.toMatchObject({
        code: 'CANCELLED',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('ContentDigest', () => {
  const parts = (bytes: Buffer, length: number) =>
    Array.from({ length: Math.ceil(bytes.length / length) }, (_, index) => {
      const part = bytes.subarray(index * length, (index + 1) * length);
      return { at: index * length, lengthBytes: part.length, checksums: checksumsOf(part) };
    });

  it(`is that of the whole file, in any order of its parts (HOLDFAST_SEED=${seed})`, async () => {
    const random = seeded(seed);
    const bytes = bytesOf(random, 20 * block + 17);
    const left = parts(bytes, 2 * block);
    const digest = new ContentDigest();
    while (left.length > 0) {
      const [{ at, ...part }] = left.splice(random(left.length), 1) as [(typeof left)[number]];
      digest.add(at, part);
    }
    expect(digest.digest(bytes.length)?.toString('hex')).toBe(await contentDigest(bytes));
  });

  it('is unknown when a part is missing or does not start with a block', () => {
    const bytes = bytesOf(seeded(seed), 6 * block);
    const missing = new ContentDigest();
    for (const { at, ...part } of parts(bytes, 2 * block)) if (at !== 2 * block) missing.add(at, part);
    expect(missing.digest(bytes.length)).toBeUndefined();
    const oblique = new ContentDigest();
    for (const { at, ...part } of parts(bytes, 2 * block + 5)) oblique.add(at, part);
    expect(oblique.digest(bytes.length)).toBeUndefined();
  });

  it('keeps no more than 16 MiB of what waits for its turn', () => {
    const digest = new ContentDigest();
    const part = { lengthBytes: 64 * KiB * KiB, checksums: Buffer.alloc(4 * KiB) };
    const count = 4_100;
    for (let index = 1; index <= count; index += 1) digest.add(index * part.lengthBytes, part);
    digest.add(0, part);
    expect(digest.digest((count + 1) * part.lengthBytes)).toBeUndefined();
  });
});

describe('an upload', () => {
  it.each([64 * KiB, 100_000, 1_000_000])(
    `says the digest of the file, in chunks of %d bytes, also when keepers fail (HOLDFAST_SEED=${seed})`,
    async (chunkSizeBytes) => {
      const cluster = new FakeCluster(4);
      const random = seeded(seed);
      const bytes = bytesOf(random, 3_000_000 + random(1_000_000));
      let writes = 0;
      for (const keeper of cluster.keepers) {
        keeper.faults.write = () => {
          if ((writes += 1) % 5 === 3) throw new HoldfastError('UNAVAILABLE', 'it went away');
        };
      }
      const context = cluster.context();
      const source = streamSource(inPieces(bytes, 77_777), new MemoryShare(context.memory));
      const result = await upload(context, source, '/file', { chunkSizeBytes });
      const digest = await contentDigest(bytes);
      expect(result.contentDigest).toBe(digest);
      expect((await context.tracker.getEntry('/file')).contentDigest).toBe(digest);
      expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    },
  );
});
