import { nodeFileSystem } from '@holdfast/shared/node';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { copyFile, readFile, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type LogFileSystem, renewLog, sizeWithoutLoggedEnd } from '../../src/store/sqlite/left-log.js';
import { openDatabase } from '../../src/store/sqlite/database.js';
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
function watched(changes: string[], failure?: Error): LogFileSystem {
  return {
    ...nodeFileSystem,
    async truncate(name, sizeBytes) {
      changes.push(`cut ${basename(name)} to ${sizeBytes} bytes`);
      await truncate(name, sizeBytes);
    },
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

describe('the end of the database that the log has too', () => {
  const pageSizeBytes = 4_096;

  /** A database of two transactions, both taken over, of which the second is in the log still. */
  async function leaveLog(): Promise<{ before: number; after: number }> {
    const original = join(dir, 'original');
    const database = openDatabase(original, { readOnly: false });
    const insert = (): void =>
      database.exec(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO t SELECT randomblob(1000) FROM n`,
      );
    try {
      database.exec('CREATE TABLE t (b BLOB)');
      insert();
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      const before = (await stat(original)).size;
      insert();
      database.exec('PRAGMA wal_checkpoint(PASSIVE)');
      // As a process that is killed leaves them.
      await copyFile(original, path);
      await copyFile(`${original}-wal`, log);
      return { before, after: (await stat(path)).size };
    } finally {
      database.close();
    }
  }

  it('is cut off, and written to new blocks by SQLite, which has all that there was', async () => {
    const { before, after } = await leaveLog();
    // What the file system says of blocks that it could not write, after a power cut.
    await truncate(path, before);
    await truncate(path, after);
    const changes: string[] = [];
    await renewLog(watched(changes), path);
    expect(changes.slice(-2)).toEqual(['sync the directory', `cut metadata.sqlite to ${before} bytes`]);
    const database = openDatabase(path, { readOnly: false });
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    const [count] = database
      .prepare('SELECT count(*) AS rows, count(DISTINCT b) AS different FROM t')
      .all([]);
    const [check] = database.prepare('PRAGMA integrity_check').all([]);
    database.close();
    expect([count, check]).toEqual([{ rows: 200, different: 200 }, { integrity_check: 'ok' }]);
    expect((await stat(path)).size).toBe(after);
  });

  it('stays where the log cannot be renewed, being in no other place', async () => {
    const { after } = await leaveLog();
    const failure = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
    await expect(renewLog(watched([], failure), path)).rejects.toBe(failure);
    expect((await stat(path)).size).toBe(after);
  });

  it.each([
    ['ends with the last page that the log has not', 10, [8, 9, 10, 3], 7],
    ['is all of it', 10, [], 10],
    ['has the first page always', 3, [1, 2, 3], 1],
    ['has no bytes', 0, [1], 0],
    ['passes the page that SQLite never writes, at 1 GiB', 262_146, [262_146, 262_144], 262_143],
  ])('what is kept %s', (_, filePages, logged, kept) => {
    const size = sizeWithoutLoggedEnd(filePages * pageSizeBytes, { pageSizeBytes, pages: new Set(logged) });
    expect(size).toBe(kept * pageSizeBytes);
  });

  it('keeps no half of a page that the log has', () => {
    const pages = new Set([3]);
    expect(sizeWithoutLoggedEnd(2.5 * pageSizeBytes, { pageSizeBytes, pages })).toBe(2 * pageSizeBytes);
    expect(sizeWithoutLoggedEnd(1.5 * pageSizeBytes, { pageSizeBytes, pages })).toBe(1.5 * pageSizeBytes);
  });
});
