/** How a keeper starts in its data directory: what it makes durable, and what it says of what is in its way. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { HoldfastError } from '@holdfast/shared';
import { nodeFileSystem } from '@holdfast/shared/node';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDataKeeper } from '../src/index.js';
import { patientSettings } from './support/fixtures.js';

let top: string;
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
});
afterAll(() => rm(top, { recursive: true }));

/** What a start ends with that never comes to its tracker. */
async function refusal(dataDir: string): Promise<unknown> {
  const start = startDataKeeper({
    ...{ dataDir, listen: '127.0.0.1:0', tracker: '127.0.0.1:1' },
    settings: { ...patientSettings, registerTimeoutMs: 50 },
  });
  return start.then(
    () => 'started',
    (error: unknown) => error,
  );
}

it.each<[string, (dataDir: string) => Promise<string>]>([
  [
    'above its data directory',
    async (path) => {
      await writeFile(path, '');
      return join(path, 'below', 'data');
    },
  ],
  [
    'in the place of a folder, in a directory that an earlier start began to format',
    async (path) => {
      await mkdir(path);
      await writeFile(join(path, 'FORMATTING'), '');
      await writeFile(join(path, 'chunks'), '');
      return path;
    },
  ],
  [
    'in the place of the folder that its records are written in first',
    async (path) => {
      await mkdir(path);
      await writeFile(join(path, 'FORMATTING'), '');
      await writeFile(join(path, 'tmp'), '');
      return path;
    },
  ],
])('a file %s', async (what, prepare) => {
  const dataDir = await prepare(join(top, what));
  const error = await refusal(dataDir);
  expect(HoldfastError.is(error)).toBe(true);
  expect(error).toMatchObject({
    code: 'NOT_A_DIRECTORY',
    message: expect.stringContaining(`cannot start the keeper of ${dataDir}: ENOTDIR`),
    remedy: expect.stringContaining('A part of the path is a file'),
    cause: expect.objectContaining({ code: 'ENOTDIR' }),
  });
});

it('each start syncs a directory above its own once, and the first one does not sync it twice', async () => {
  const parent = join(top, 'parent');
  await mkdir(parent);
  const syncDirectory = jest.spyOn(nodeFileSystem, 'syncDirectory');
  try {
    for (const _start of ['first', 'second']) {
      syncDirectory.mockClear();
      expect(await refusal(join(parent, 'data'))).toMatchObject({ code: 'UNAVAILABLE' });
      const synced = syncDirectory.mock.calls.map(([path]) => path);
      expect(synced.filter((path) => path === parent)).toEqual([parent]);
      expect(synced.filter((path) => path === top)).toEqual([top]);
    }
  } finally {
    syncDirectory.mockRestore();
  }
});
