/** Real input, through the command line both ways: the running node executable, and node_modules. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Cluster } from '@holdfast/local-cluster';
import { cp, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { repository, run } from '../support/command.js';
import { fingerprint, sha256Of, temporaryFolder } from '../support/files.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let expectAsBefore: () => Promise<void>;
let flags: string[];

beforeAll(async () => {
  folder = await temporaryFolder();
  ({ cluster, expectAsBefore } = await startMeasuredCluster(3, join(folder.path, 'cluster')));
  flags = ['--tracker', cluster.trackerAddress];
});

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

it('the node executable', async () => {
  expect(await run('client', ['upload', process.execPath, '/node', ...flags])).toMatchObject({ status: 0 });
  const target = join(folder.path, 'node');
  expect(await run('client', ['download', '/node', target, ...flags])).toMatchObject({ status: 0 });
  expect(await sha256Of(target)).toBe(await sha256Of(process.execPath));
  const cat = await run('client', ['cat', '/node', ...flags]);
  expect(cat.status).toBe(0);
  const { createHash } = await import('node:crypto');
  expect(createHash('sha256').update(cat.stdout).digest('hex')).toBe(await sha256Of(process.execPath));
});

it('a part of node_modules with every name and empty directory', async () => {
  // Enough packages for about two thousand files, taken in order so that every run has the same ones.
  const tree = join(folder.path, 'tree');
  await mkdir(join(tree, 'empty', 'emptier'), { recursive: true });
  let files = 0;
  for (const name of (await readdir(join(repository, 'node_modules'))).sort()) {
    if (files > 2_000 || name.startsWith('.') || name.startsWith('@')) continue;
    await cp(join(repository, 'node_modules', name), join(tree, name), {
      recursive: true,
      dereference: true,
    });
    files += (await readdir(join(tree, name), { recursive: true })).length;
  }
  const up = await run('client', ['upload', '-r', tree, '/tree', ...flags]);
  expect({ status: up.status, stderr: up.stderr.slice(-2_000) }).toMatchObject({ status: 0 });
  const back = join(folder.path, 'tree-back');
  const down = await run('client', ['download', '-r', '/tree', back, ...flags]);
  expect({ status: down.status, stderr: down.stderr.slice(-2_000) }).toMatchObject({ status: 0 });
  expect(await fingerprint(back)).toEqual(await fingerprint(tree));
}, 600_000);

it('in the end the check finds nothing, and nobody holds more than before', () => expectAsBefore());
