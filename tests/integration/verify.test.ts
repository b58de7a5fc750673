/** `client verify`: says what differs and nothing else, and moves no bytes for it: through a real cluster. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../support/command.js';
import { seededBytes, temporaryFolder } from '../support/files.js';

let cluster: Cluster;
let client: HoldfastClient;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let here: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  here = join(folder.path, 'tree');
  cluster = await startCluster({ keepers: 3 });
  client = await cluster.connect();
  await mkdir(join(here, 'sub', 'deep'), { recursive: true });
  await mkdir(join(here, 'empty'));
  for (const [index, name] of ['a', 'a.b', 'b', 'sub/é', 'sub/deep/new\nline', 'sub.x'].entries()) {
    await writeFile(join(here, name), seededBytes(index, index * 70_000));
  }
  const { status } = await run('client', [
    'upload',
    '-r',
    here,
    '/tree',
    '--tracker',
    cluster.trackerAddress,
  ]);
  expect(status).toBe(0);
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

async function verify(
  ...args: string[]
): Promise<{ status: number | null; lines: string[]; stderr: string }> {
  const { status, stdout, stderr } = await run('client', [
    'verify',
    ...args,
    '--tracker',
    cluster.trackerAddress,
  ]);
  const text = stdout.toString().trimEnd();
  return { status, lines: text === '' ? [] : text.split('\n'), stderr };
}

it('finds a tree the same, and reads no bytes of the cluster', async () => {
  // No keeper is needed: all that is asked for is metadata.
  await cluster.keepers[0]!.kill();
  await cluster.keepers[1]!.kill();
  await cluster.keepers[2]!.kill();
  try {
    const same = await verify('-r', here, '/tree');
    expect(same).toMatchObject({ status: 0, lines: [expect.stringMatching(/^6 files the same, /)] });
    expect(await verify('-r', '-q', here, '/tree')).toMatchObject({ status: 0, lines: [] });
    // A file with the one of its name, as it was uploaded.
    expect(await verify(join(here, 'b'), '/tree/')).toMatchObject({ status: 0 });
  } finally {
    for (const keeper of cluster.keepers) await keeper.start();
  }
});

it('names each difference once, in byte order, and ends with 1', async () => {
  const there = '/changed';
  await client.makeDirectory(there);
  for await (const entry of client.list('/tree', { depth: Infinity })) {
    const to = entry.path.replace('/tree', there);
    if (entry.type === 'directory') await client.makeDirectory(to);
    else await client.copy(entry.path, to);
  }
  const other = seededBytes(2, 140_000);
  other.writeUInt8(other.readUInt8(99_999) ^ 4, 99_999);
  await client.upload(other, `${there}/b`, { overwrite: true });
  await client.upload(Buffer.from('short'), `${there}/sub/é`, { overwrite: true });
  await client.remove(`${there}/sub/deep`, { recursive: true });
  await client.remove(`${there}/empty`);
  await client.upload(Buffer.alloc(0), `${there}/empty`);
  await client.makeDirectory(`${there}/zoo`);
  const found = await verify('-r', here, there);
  expect(found).toMatchObject({
    status: 1,
    lines: [
      '! b: other bytes',
      '! empty/: a directory here, a file there',
      '< sub/deep/',
      '! sub/é: 210000 bytes here, 5 there',
      '> zoo/',
      expect.stringMatching(/^3 files the same, .*, 3 differ, 1 only here, 1 only there, in /),
    ],
  });
  expect(await verify('-r', '-q', here, there)).toMatchObject({ status: 1, lines: [] });
  const documents = (await verify('-r', '--json', here, there)).lines.map(
    (line) => JSON.parse(line) as object,
  );
  expect(documents[0]).toMatchObject({
    ...{ event: 'differs', path: 'b', why: 'other bytes', local: { type: 'file', sizeBytes: 140_000 } },
    remote: {
      path: `${there}/b`,
      sizeBytes: 140_000,
      contentDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
    },
  });
  expect(documents.at(-1)).toMatchObject({
    ...{ event: 'summary', same: 3, differs: 3, onlyLocal: 1, onlyRemote: 1, unknown: 0, failed: 0 },
  });
});

it('compares what was appended to, of which nobody knows the digest, chunk by chunk', async () => {
  const local = join(folder.path, 'appended');
  const bytes = seededBytes(7, 300_000);
  await client.upload(bytes.subarray(0, 100_000), '/appended', { chunkSizeBytes: 64 * 1024 });
  await client.append(bytes.subarray(100_000), '/appended', { chunkSizeBytes: 64 * 1024 });
  expect((await client.stat('/appended')).contentDigest).toBeUndefined();
  await writeFile(local, bytes);
  expect(await verify(local, '/appended')).toMatchObject({ status: 0 });
  bytes.writeUInt8(bytes.readUInt8(250_000) ^ 1, 250_000);
  await writeFile(local, bytes);
  expect(await verify(local, '/appended')).toMatchObject({ status: 1 });
});

it('ends with the status of an error where it cannot compare', async () => {
  expect(await verify(join(here, 'nothing'), '/tree')).toMatchObject({ status: 3 });
  expect(await verify(join(here, 'a'), '/nothing')).toMatchObject({ status: 3 });
  const directory = await verify(here, '/tree');
  expect(directory.status).not.toBe(0);
  expect(directory.stderr).toContain('Use -r');
  // Not there under its name: a difference, no error.
  const lonely = join(folder.path, 'lonely');
  await writeFile(lonely, 'x');
  expect(await verify(lonely, '/tree')).toMatchObject({
    status: 1,
    lines: [`< ${lonely}`, expect.anything()],
  });
  const link = join(here, 'dangling');
  await symlink('nowhere', link);
  try {
    const skipped = await verify('-r', here, '/tree');
    expect({ status: skipped.status, said: skipped.stderr }).toMatchObject({
      status: 1,
      said: expect.stringContaining('leads nowhere'),
    });
  } finally {
    await rm(link);
  }
});
