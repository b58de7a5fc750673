/**
 * Standard output that takes no more, because its reader left or a disk is full: nothing half done stays behind, and
 * the status says that not all was done.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { existsSync, openSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { launcher } from '../support/command.js';
import { temporaryFolder } from '../support/files.js';

/** More than a pipe holds the lines of, and than one call locates. */
const fileCount = 3_000;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let client: HoldfastClient;
let tree: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  tree = join(folder.path, 'tree');
  await mkdir(tree);
  const names = Array.from({ length: fileCount }, (_, index) => `file-${index}`);
  // So many at once keep the threads busy with which keepers of this process look at their disks: these come later.
  await Promise.all(names.map((name) => writeFile(join(tree, name), name)));
  cluster = await startCluster({ keepers: 2 });
  client = await cluster.connect();
  const files = names.map((name) => ({ source: Buffer.from(name), path: `/tree/${name}` }));
  for await (const { error } of client.uploadMany(files, { createParents: true })) if (error) throw error;
});

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

interface Ended {
  readonly status: number | null;
  readonly stderr: string;
}

/** Runs the client; its reader leaves after the first line, or its output goes to `device`. */
function runInto(device: string | undefined, ...args: string[]): Promise<Ended> {
  const output = device === undefined ? 'pipe' : openSync(device, 'w');
  const child = spawn(process.execPath, [launcher('client'), ...args, '--tracker', cluster.trackerAddress], {
    stdio: ['ignore', output, 'pipe'],
    timeout: 420_000,
  });
  let stderr = '';
  child.stderr?.on('data', (part: Buffer) => (stderr += part.toString()));
  child.stdout?.once('data', () => child.stdout?.destroy());
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stderr }));
  });
}

/** Names of files in a local directory that are those of downloads that are not done. */
async function parts(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.endsWith('.part'));
}

describe('a reader that leaves', () => {
  it('ends a download in order, and the status says that it was not done', async () => {
    const to = join(folder.path, 'some');
    const { status, stderr } = await runInto(undefined, 'download', '-r', '/tree', to);
    expect(stderr).toContain('whoever read the output left');
    expect(status).toBe(130);
    expect(await parts(to)).toEqual([]);
  });

  it('ends an upload, and the status says that it was not done', async () => {
    const { status, stderr } = await runInto(undefined, 'upload', '-r', tree, '/again');
    expect(stderr).toContain('whoever read the output left');
    expect(status).toBe(130);
  });

  it('is served when it leaves a sync that only looks', async () => {
    const to = join(folder.path, 'nowhere');
    const args = ['sync', ':/tree', to, '--dry-run'];
    expect(await runInto(undefined, ...args)).toEqual({ status: 0, stderr: '' });
  });

  it.each([['ls'], ['find'], ['tree']])(
    'is served when it leaves %s',
    async (verb) => {
      expect(await runInto(undefined, verb, '/tree')).toEqual({ status: 0, stderr: '' });
    },
    600_000,
  );
});

const full = existsSync('/dev/full') ? it : it.skip;

describe('a full disk behind standard output', () => {
  full.each([
    ['ls', '/tree/file-1'],
    ['ls', '/tree'],
    ['cat', '/tree/file-1'],
    ['--help', ''],
  ])(
    'is told by %s %s',
    async (...args) => {
      const { status, stderr } = await runInto('/dev/full', ...args.filter((arg) => arg !== ''));
      expect(stderr).toContain('cannot write standard output');
      expect(stderr).toContain('ENOSPC');
      expect(status).toBe(8);
    },
    600_000,
  );

  full(
    'leaves nothing half done',
    async () => {
      const to = join(folder.path, 'others');
      const { status, stderr } = await runInto('/dev/full', 'download', '-r', '/tree', to);
      expect(stderr).toContain('cannot write standard output');
      expect(status).toBe(8);
      expect(await parts(to)).toEqual([]);
    },
    600_000,
  );
});
