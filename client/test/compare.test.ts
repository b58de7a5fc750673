/** A local file against a remote one: by digests as far as they are known, and by its bytes where they are not. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HoldfastClient } from '../src/client.js';
import { FakeCluster } from './support/fake-cluster.js';

const MiB = 1024 * 1024;

describe('compare', () => {
  let folder: string;
  let local: string;
  let cluster: FakeCluster;
  let client: HoldfastClient;
  const bytes = randomBytes(3 * MiB + 5);
  /** The same but for one byte. */
  const changedAt = (index: number): Buffer => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
    return changed;
  };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-compare-'));
    local = join(folder, 'local');
  });
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(async () => {
    await writeFile(local, bytes);
    cluster = new FakeCluster();
    client = new HoldfastClient(cluster.context(), () => undefined);
  });

  it('goes by the length and the content digest, and asks for nothing else', async () => {
    await client.upload(bytes, '/file');
    cluster.calls.length = 0;
    expect(await client.compare(local, '/file')).toBe('same');
    await writeFile(local, changedAt(2 * MiB));
    expect(await client.compare(local, '/file')).toBe('different');
    await writeFile(local, bytes.subarray(1));
    expect(await client.compare(local, '/file')).toBe('different');
    expect(cluster.calls).toEqual(['getEntry', 'getEntry', 'getEntry']);
  });

  it('goes by the digests of the chunks where nobody said that of the file', async () => {
    cluster.put('/old', bytes);
    cluster.locatePageSize = 2;
    expect(await client.compare(local, '/old')).toBe('same');
    for (const index of [0, MiB, 3 * MiB + 4]) {
      await writeFile(local, changedAt(index));
      expect(await client.compare(local, '/old')).toBe('different');
    }
    expect(cluster.calls.filter((call) => call.startsWith('read'))).toEqual([]);
    cluster.put('/empty', Buffer.alloc(0));
    await writeFile(local, '');
    expect(await client.compare(local, '/empty')).toBe('same');
  });

  it('knows nothing of a part of a chunk, unless it may fetch its bytes', async () => {
    const { version } = cluster.put('/packed', Buffer.concat([randomBytes(100_000), bytes]), 4 * MiB);
    const { entry, extents } = cluster.versions.get(version)!;
    const lengthBytes = bytes.length;
    cluster.versions.set(version, {
      entry: { ...entry, sizeBytes: lengthBytes },
      extents: extents.map((extent) => ({ ...extent, chunkOffset: 100_000, lengthBytes })),
    });
    expect(await client.compare(local, '/packed')).toBe('unknown');
    expect(await client.compare(local, '/packed', { fetch: true })).toBe('same');
    await writeFile(local, changedAt(1_000_000));
    expect(await client.compare(local, '/packed')).toBe('unknown');
    expect(await client.compare(local, '/packed', { fetch: true })).toBe('different');
  });

  it('says which of the two is missing, and takes no directory', async () => {
    cluster.paths.set('/directory', 'directory');
    cluster.put('/file', bytes);
    await expect(client.compare(local, '/nothing')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(client.compare(join(folder, 'nothing'), '/file')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(client.compare(local, '/directory')).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
    await expect(client.compare(folder, '/file')).rejects.toMatchObject({ code: 'IS_A_DIRECTORY' });
    await expect(client.compare('/dev/null', '/file')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
