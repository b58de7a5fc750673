/** SQLite itself says which pages it takes from a log: those that it writes over a database of nothing but filler. */
import { nodeFileSystem } from '@holdfast/shared/node';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SqliteConnection, openDatabase } from '../../src/store/sqlite/database.js';
import { loggedPages } from '../../src/store/sqlite/logged-pages.js';
import { seed, seededRandom } from '../placement/seeded.js';
import { temporaryDirectory } from '../support/fixture.js';

const filler = 0xaa;
let dir: string;

beforeAll(async () => (dir = await temporaryDirectory()));
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Pair {
  readonly database: Buffer;
  readonly log: Buffer;
}

/** A database and its log as a process leaves them that is killed in the middle of a transaction which did not fit into memory. */
async function leftPair(pageSizeBytes: number): Promise<Pair> {
  const path = join(await mkdtemp(join(dir, 'left-')), 'original');
  const raw = openDatabase(path, { readOnly: false });
  const change = (rows: number): void =>
    raw.exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
       INSERT INTO t SELECT randomblob(300) FROM n`,
    );
  try {
    raw.exec(
      `PRAGMA journal_mode = DELETE; PRAGMA page_size = ${pageSizeBytes}; VACUUM; PRAGMA journal_mode = WAL`,
    );
    raw.exec('CREATE TABLE t (b BLOB)');
    change(400);
    raw.exec('PRAGMA wal_checkpoint(PASSIVE)');
    const database = join(dir, 'database');
    await copyFile(path, database);
    // The log begins anew: behind these are frames of before.
    for (let transaction = 0; transaction < 8; transaction += 1) {
      raw.exec(`DELETE FROM t WHERE rowid % 50 = ${transaction}`);
      change(5);
    }
    raw.exec('PRAGMA cache_size = 5');
    raw.exec('BEGIN');
    change(100);
    const log = await readFile(`${path}-wal`);
    raw.exec('ROLLBACK');
    return { database: await readFile(database), log };
  } finally {
    raw.close();
  }
}

/** The pages that SQLite takes from the log. */
async function takenPages({ database, log }: Pair, pageSizeBytes: number): Promise<number[]> {
  const path = join(dir, 'filled');
  // It reads the first to know that it is a database.
  await writeFile(
    path,
    Buffer.concat([
      database.subarray(0, pageSizeBytes),
      Buffer.alloc(database.length - pageSizeBytes, filler),
    ]),
  );
  await writeFile(`${path}-wal`, log);
  let connection: SqliteConnection | undefined;
  try {
    connection = openDatabase(path, { readOnly: false });
    connection.exec('PRAGMA wal_checkpoint(PASSIVE)');
    const after = await readFile(path);
    const numbers = Array.from({ length: after.length / pageSizeBytes }, (_, index) => index + 1);
    return numbers.filter((number) => {
      const page = after.subarray((number - 1) * pageSizeBytes, number * pageSizeBytes);
      return number === 1
        ? !page.equals(database.subarray(0, pageSizeBytes))
        : page.some((byte) => byte !== filler);
    });
  } finally {
    connection?.close();
    for (const end of ['', '-wal', '-shm']) await rm(path + end, { force: true });
  }
}

async function foundPages(log: Buffer): Promise<number[]> {
  const path = join(dir, 'log');
  await writeFile(path, log);
  const file = await nodeFileSystem.open(path, 'read');
  const logged = await loggedPages(file).finally(() => file.close());
  return [...(logged?.pages ?? [])].sort((one, other) => one - other);
}

it.each([512, 4_096, 65_536])(
  'finds the pages of a log of %i bytes each that SQLite takes',
  async (pageSizeBytes) => {
    const pair = await leftPair(pageSizeBytes);
    const found = await foundPages(pair.log);
    expect(found.length).toBeGreaterThan(1);
    expect(found).toEqual(await takenPages(pair, pageSizeBytes));
    // The log has more frames than those: of the open transaction, and of before it was begun anew.
    const frames = (pair.log.length - 32) / (24 + pageSizeBytes);
    expect(frames).toBeGreaterThan(found.length);
  },
);

it(`finds the same as SQLite in logs that are cut and damaged (HOLDFAST_SEED=${seed})`, async () => {
  const pageSizeBytes = 4_096;
  const pair = await leftPair(pageSizeBytes);
  const random = seededRandom(seed);
  const counts = new Set<number>();
  for (let run = 0; run < 60; run += 1) {
    const log = Buffer.from(pair.log);
    // Half of the time in what is read first: it decides about all the rest.
    const at = Math.floor(random() * (run % 2 ? log.length : 200));
    log.writeUInt8(log.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
    const length = run % 3 ? log.length : Math.floor(random() * log.length);
    const damaged = { ...pair, log: log.subarray(0, length) };
    const found = await foundPages(damaged.log);
    counts.add(found.length);
    expect([run, at, length, found]).toEqual([run, at, length, await takenPages(damaged, pageSizeBytes)]);
  }
  expect(counts.size).toBeGreaterThan(3);
});
