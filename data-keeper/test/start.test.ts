/** A keeper that cannot start says what is in its way. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { HoldfastError } from '@holdfast/shared';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDataKeeper } from '../src/index.js';

let top: string;
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
});
afterAll(() => rm(top, { recursive: true }));

/** What a start ends with that never comes to its tracker. */
async function refusal(dataDir: string): Promise<unknown> {
  const start = startDataKeeper({ dataDir, listen: '127.0.0.1:0', tracker: '127.0.0.1:1' });
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
