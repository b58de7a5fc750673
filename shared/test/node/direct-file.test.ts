/** Reading from the medium: the same bytes as ever, and not from the page cache where the platform has a way. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeFileSystem } from '../../src/node/node-file-system.js';
import { systemRandom } from '../../src/node/system-random.js';

let folder: string;
const bytes = systemRandom.bytes(3 * 1024 * 1024 + 4_100);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-direct-'));
  const file = await open(join(folder, 'file'), 'w');
  await file.write(bytes);
  await file.sync();
  await file.close();
});

afterEach(() => rm(folder, { recursive: true }));

/** What the kernel had its devices read for this process, in bytes. */
async function readFromDevices(): Promise<number> {
  return Number(/^read_bytes: (\d+)$/m.exec(await readFile('/proc/self/io', 'utf8'))?.[1]);
}

describe('a file read from the medium', () => {
  it.each([
    [0, 1],
    [0, 4_096],
    [1, 4_095],
    [4_095, 2],
    [100, 2_500_000],
    [4_096, 1024 * 1024],
    [bytes.length - 5, 5],
    [bytes.length - 5, 50],
    [bytes.length, 10],
    [bytes.length + 10_000, 10],
    [0, bytes.length + 1],
  ])('has the same bytes from %i on for %i', async (position, length) => {
    const file = await nodeFileSystem.open(join(folder, 'file'), 'medium');
    try {
      const target = Buffer.alloc(length + 7, 0xee);
      const read = await file.read(target, 7, length, position);
      const expected = bytes.subarray(position, position + length);
      expect(read).toBe(expected.length);
      expect(target.subarray(7, 7 + read).equals(expected)).toBe(true);
      expect(target.subarray(0, 7).every((byte) => byte === 0xee)).toBe(true);
      expect(target.subarray(7 + read).every((byte) => byte === 0xee)).toBe(true);
    } finally {
      await file.close();
    }
  });

  it('many at a time do not get in each other’s way', async () => {
    const file = await nodeFileSystem.open(join(folder, 'file'), 'medium');
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const target = Buffer.alloc(100_000);
        await file.read(target, 0, target.length, index * 100_001);
        expect(target.equals(bytes.subarray(index * 100_001, index * 100_001 + target.length))).toBe(true);
      }),
    );
    await file.close();
  });

  it('says so, and comes from the device although the page cache has it', async () => {
    const file = await nodeFileSystem.open(join(folder, 'file'), 'medium');
    const cached = await nodeFileSystem.open(join(folder, 'file'), 'read');
    const target = Buffer.alloc(bytes.length);
    try {
      expect(cached.fromMedium).not.toBe(true);
      if (!file.fromMedium || process.platform !== 'linux') return;
      await cached.read(target, 0, target.length, 0);
      const before = await readFromDevices();
      await cached.read(target, 0, target.length, 0);
      const between = await readFromDevices();
      await file.read(target, 0, target.length, 0);
      // A file system in memory has no device.
      const onDevice = (await readFromDevices()) - between;
      if (onDevice > 0) expect(onDevice).toBeGreaterThanOrEqual(bytes.length);
      expect(between - before).toBeLessThan(bytes.length);
    } finally {
      await file.close();
      await cached.close();
    }
  });

  it('that is not there is ENOENT', async () => {
    await expect(nodeFileSystem.open(join(folder, 'none'), 'medium')).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});
