/** How a tracker starts on the metadata that an earlier start has left. */
import { nodeFileSystem } from '@holdfast/shared/node';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { copyFile, lstat, realpath, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { startMasterTracker } from '../src/index.js';
import { temporaryDirectory } from './support/fixture.js';

let dir: string;
beforeEach(async () => {
  dir = await realpath(await temporaryDirectory());
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it('takes over the log beside the database itself, where it is found by a link', async () => {
  const dataDir = join(dir, 'tracker');
  const start = () => startMasterTracker({ dataDir, listen: '127.0.0.1:0' });
  const first = await start();
  const link = join(dataDir, 'metadata.sqlite');
  const file = join(dir, 'elsewhere');
  // As a process leaves them that is killed.
  for (const end of ['', '-wal']) await copyFile(link + end, file + end);
  await first.stop();
  await rm(link);
  await symlink(file, link);

  const renamed = jest.spyOn(nodeFileSystem, 'rename');
  const second = await start();
  try {
    expect(renamed.mock.calls).toEqual([[`${file}-wal.new`, `${file}-wal`]]);
    expect(second.clusterId).toBe(first.clusterId);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
  } finally {
    renamed.mockRestore();
    await second.stop();
  }
});
