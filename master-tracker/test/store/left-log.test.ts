import { nodeFileSystem } from '@holdfast/shared/node';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFile,
  mkdir,
  open,
  readFile,
  readdir,
  rm,
  stat,
  statfs,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type LogFileSystem, takeOverLog, sizeWithoutLoggedEnd } from '../../src/store/sqlite/left-log.js';
import { openDatabase } from '../../src/store/sqlite/database.js';
import { temporaryDirectory } from '../support/fixture.js';

let dir: string;
let path: string;
let log: string;

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
    async openToCut(name) {
      const file = await open(name, 'r+');
      return {
        truncate: async (sizeBytes) => {
          changes.push(`cut ${basename(name)} to ${sizeBytes} bytes`);
          await file.truncate(sizeBytes);
        },
        close: () => file.close(),
      };
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

const pageSizeBytes = 4_096;
const failure = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });

/** What a process leaves that is killed: a database of two transactions, of which the second is in the log. */
async function leaveLog(): Promise<{ before: number; after: number }> {
  const original = join(dir, 'original');
  const database = openDatabase(original, { readOnly: false });
  const insert = (): void =>
    database.exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
       INSERT INTO t SELECT randomblob(1000) FROM n`,
    );
  try {
    database.exec('CREATE TABLE t (b BLOB)');
    insert();
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    const before = (await stat(original)).size;
    insert();
    // The database has it, too, as far as the process can tell.
    database.exec('PRAGMA wal_checkpoint(PASSIVE)');
    for (const end of ['', '-wal', '-shm']) await copyFile(original + end, path + end);
    return { before, after: (await stat(path)).size };
  } finally {
    database.close();
    for (const end of ['', '-wal', '-shm']) await rm(original + end, { force: true });
  }
}

/** Opens it, and says what it has. */
function contents(): unknown {
  const database = openDatabase(path, { readOnly: false });
  const rows = database.prepare('SELECT count(*) AS rows, count(DISTINCT b) AS different FROM t').all([]);
  const check = database.prepare('PRAGMA integrity_check').all([]);
  database.close();
  return [...rows, ...check];
}
const everything = [{ rows: 2_000, different: 2_000 }, { integrity_check: 'ok' }];

it('takes the log over from other blocks to other blocks', async () => {
  const { before, after } = await leaveLog();
  // Of a start that was killed in the middle.
  await writeFile(`${log}.new`, 'half of it');
  const { size } = await stat(log);
  // What the file system says after a power cut of blocks that it could not write.
  await truncate(path, before);
  await truncate(path, after);
  const changes: string[] = [];
  await takeOverLog(watched(changes), path);
  expect(changes).toEqual([
    `sync metadata.sqlite-wal.new, ${size} bytes`,
    'rename metadata.sqlite-wal.new metadata.sqlite-wal',
    'sync the directory',
    `cut metadata.sqlite to ${before} bytes`,
  ]);
  expect((await stat(path)).size).toBe(after);
  expect(await stat(log).catch(() => 'gone')).toBe('gone');
  expect(contents()).toEqual(everything);
  expect(await readdir(dir)).toEqual([basename(path)]);
});

it('leaves the log and the database as they are when the log cannot be synced', async () => {
  const { after } = await leaveLog();
  const { ino } = await stat(log);
  await expect(takeOverLog(watched([], failure), path)).rejects.toBe(failure);
  expect([(await stat(log)).ino, (await stat(path)).size]).toEqual([ino, after]);
  await takeOverLog(watched([]), path);
  expect(contents()).toEqual(everything);
});

it('takes nothing over any more in a process that failed to: closed, SQLite would remove the log', async () => {
  const { after } = await leaveLog();
  const { size } = await stat(log);
  const openToCut = () => Promise.reject(failure);
  await expect(takeOverLog({ ...watched([]), openToCut }, path)).rejects.toBe(failure);
  await expect(takeOverLog(watched([]), path)).rejects.toMatchObject({ code: 'DATA_DIR_INVALID' });
  expect([(await stat(log)).size, (await stat(path)).size]).toEqual([size, after]);
});

it('leaves the database as it is while another program has it open, which may rely on the log', async () => {
  const { after } = await leaveLog();
  const left = await readFile(log);
  const other = openDatabase(path, { readOnly: true });
  other.prepare('SELECT count(*) FROM t').all([]);
  await expect(takeOverLog(watched([]), path)).rejects.toMatchObject({
    code: 'DATA_DIR_INVALID',
    message: expect.stringContaining('another program has the metadata in'),
  });
  expect([(await readFile(log)).equals(left), (await stat(path)).size]).toEqual([true, after]);
  other.close();
  await takeOverLog(watched([]), path);
  expect(contents()).toEqual(everything);
});

/** A file system of so many bytes at `place`, as long as this process and until it is let go. */
async function smallDisk(place: string, sizeBytes: number): Promise<() => Promise<void>> {
  await mkdir(place);
  // A shell that waits for the end of a pipe takes it away, however this process ends.
  const script = 'mount -t tmpfs -o size="$2" tmpfs "$1" && echo mounted && cat; umount -l "$1"';
  const shell = spawn('sh', ['-c', script, 'sh', place, String(sizeBytes)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(shell, 'close');
  await Promise.race([once(shell.stdout, 'data'), ended]);
  return async () => {
    shell.stdin.end();
    await ended;
  };
}

/** As root on Linux, if at all. */
const mayMount = spawnSync('sh', ['-c', 'unshare -m mount -t tmpfs tmpfs /tmp']).status === 0;

(mayMount ? it : it.skip)('says that the disk is full, where others fill it meanwhile', async () => {
  const place = join(dir, 'disk');
  const remove = await smallDisk(place, 8 * 1024 * 1024);
  try {
    const { before } = await leaveLog();
    for (const end of ['', '-wal']) await copyFile(path + end, join(place, basename(path) + end));
    const onDisk = join(place, basename(path));
    await truncate(onDisk, before);
    const openToCut: LogFileSystem['openToCut'] = async (name) => {
      const { bavail, bsize } = await statfs(place);
      await writeFile(join(place, 'of others'), Buffer.alloc(bavail * bsize));
      return open(name, 'r+');
    };
    await expect(takeOverLog({ ...watched([]), openToCut }, onDisk)).rejects.toMatchObject({
      code: 'OUT_OF_SPACE',
      message: expect.stringContaining("the tracker's disk is full"),
      remedy: expect.stringContaining('Free space'),
    });
    expect((await stat(`${onDisk}-wal`)).size).toBe((await stat(log)).size);
  } finally {
    await remove();
  }
});

it('does nothing where there is no log', async () => {
  const changes: string[] = [];
  await takeOverLog(watched(changes), path);
  expect([changes, await readdir(dir)]).toEqual([[], []]);
});

describe('what is kept of a database', () => {
  it.each([
    ['ends with the last page that the log has not', 10, [8, 9, 10, 3], 7],
    ['is all of it', 10, [], 10],
    ['has the first page always', 3, [1, 2, 3], 1],
    ['has no bytes', 0, [1], 0],
    ['passes the page that SQLite never writes, at 1 GiB', 262_146, [262_146, 262_144], 262_143],
  ])('%s', (_, filePages, logged, kept) => {
    const size = sizeWithoutLoggedEnd(filePages * pageSizeBytes, { pageSizeBytes, pages: new Set(logged) });
    expect(size).toBe(kept * pageSizeBytes);
  });

  it('keeps no half of a page that the log has', () => {
    const pages = new Set([3]);
    expect(sizeWithoutLoggedEnd(2.5 * pageSizeBytes, { pageSizeBytes, pages })).toBe(2 * pageSizeBytes);
    expect(sizeWithoutLoggedEnd(1.5 * pageSizeBytes, { pageSizeBytes, pages })).toBe(1.5 * pageSizeBytes);
  });
});
