import type { FileSystem } from '@holdfast/shared';
import { nodeFileSystem } from '@holdfast/shared/node';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { renewLog } from '../../src/store/sqlite/left-log.js';
import { temporaryDirectory } from '../support/fixture.js';

let dir: string;
let path: string;
let log: string;
/** Longer than what is copied at a time. */
const content = Buffer.alloc(2_500_000, 'frames ');

beforeEach(async () => {
  dir = await temporaryDirectory();
  path = join(dir, 'metadata.sqlite');
  log = `${path}-wal`;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** The machine's file system, with what it is asked to change written down; syncs fail if they are to. */
function watched(changes: string[], failure?: Error): FileSystem {
  return {
    ...nodeFileSystem,
    async open(name, mode) {
      const file = await nodeFileSystem.open(name, mode);
      return {
        read: (...where) => file.read(...where),
        write: (data, position) => file.write(data, position),
        syncData: async () => {
          changes.push(`sync ${basename(name)}, ${await file.sizeBytes()} bytes`);
          if (failure) throw failure;
          await file.syncData();
        },
        sizeBytes: () => file.sizeBytes(),
        close: () => file.close(),
      };
    },
    async rename(from, to) {
      changes.push(`rename ${basename(from)} ${basename(to)}`);
      await nodeFileSystem.rename(from, to);
    },
    async syncDirectory(name) {
      changes.push(`sync ${name === dir ? 'the directory' : name}`);
      await nodeFileSystem.syncDirectory(name);
    },
  };
}

it('writes the log to other blocks, and gives them its name when they are on stable storage', async () => {
  await writeFile(log, content);
  // Of a start that was killed in the middle.
  await writeFile(`${log}.new`, 'half of it');
  const { ino } = await stat(log);
  const changes: string[] = [];
  await renewLog(watched(changes), path);
  expect(changes).toEqual([
    `sync metadata.sqlite-wal.new, ${content.length} bytes`,
    'rename metadata.sqlite-wal.new metadata.sqlite-wal',
    'sync the directory',
  ]);
  expect((await readFile(log)).equals(content)).toBe(true);
  expect((await stat(log)).ino).not.toBe(ino);
  expect(await readdir(dir)).toEqual([basename(log)]);
});

it('leaves the log as it is when the new one cannot be synced', async () => {
  await writeFile(log, content);
  const { ino } = await stat(log);
  const failure = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  await expect(renewLog(watched([], failure), path)).rejects.toBe(failure);
  expect((await stat(log)).ino).toBe(ino);
  expect(await readdir(dir)).toEqual([basename(log)]);
});

it('does nothing where there is no log', async () => {
  const changes: string[] = [];
  await renewLog(watched(changes), path);
  expect([changes, await readdir(dir)]).toEqual([[], []]);
});
