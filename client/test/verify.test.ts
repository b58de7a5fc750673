/** `client verify` where no digest tells: against a cluster in memory. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeCluster } from './support/fake-cluster.js';
import { cli } from './support/run-cli.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-verify-'));
});
afterAll(() => rm(folder, { recursive: true }));

it('says that it cannot tell, and tells with --fetch', async () => {
  const cluster = new FakeCluster();
  const bytes = randomBytes(200_000);
  const local = join(folder, 'local');
  await writeFile(local, bytes);
  // The middle of a chunk.
  const { version } = cluster.put('/part', Buffer.concat([randomBytes(7), bytes]));
  const { entry, extents } = cluster.versions.get(version)!;
  const lengthBytes = bytes.length;
  cluster.versions.set(version, {
    entry: { ...entry, sizeBytes: lengthBytes },
    extents: extents.map((extent) => ({ ...extent, chunkOffset: 7, lengthBytes })),
  });
  const asked = await cli(cluster, ['verify', local, '/part']);
  expect(asked).toMatchObject({ status: 1, stdout: expect.stringContaining(`? ${local}: not all digests`) });
  expect(cluster.calls.filter((call) => call.startsWith('read'))).toEqual([]);
  const json = await cli(cluster, ['verify', local, '/part', '--json']);
  expect(json.documents).toMatchObject([
    { event: 'unknown', path: '', local: { sizeBytes: lengthBytes } },
    { event: 'summary', same: 0, unknown: 1, differs: 0 },
  ]);
  expect(await cli(cluster, ['verify', local, '/part', '--fetch', '-q'])).toMatchObject({
    ...{ status: 0, stdout: '', stderr: '' },
  });
  bytes.writeUInt8(bytes.readUInt8(5) ^ 1, 5);
  await writeFile(local, bytes);
  const fetched = await cli(cluster, ['verify', local, '/part', '--fetch']);
  expect(fetched).toMatchObject({ status: 1, stdout: expect.stringContaining(`! ${local}: other bytes`) });
});
