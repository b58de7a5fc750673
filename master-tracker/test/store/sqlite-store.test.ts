import { HoldfastError } from '@holdfast/shared';
import { afterEach, describe, expect, it } from '@jest/globals';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { MetadataStore, MetadataTransaction } from '../../src/store/metadata-store.js';
import { type SqliteConnection, availableDrivers, openDatabase } from '../../src/store/sqlite/database.js';
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.js';
import { standingClock, temporaryDirectory } from '../support/fixture.js';
import { metadataStoreSuite } from './metadata-store-suite.js';

function addRequest(requestId: string, answer: string) {
  return async ({ db, transactionId }: MetadataTransaction): Promise<void> => {
    const row = { request_id: requestId, fingerprint: '', answer, transaction_id: transactionId };
    await db.insertInto('requests').values(row).execute();
  };
}

/**
 * As much as a checkpoint is made after, in one group however slow the machine: what comes after a checkpoint that fails
 * is refused.
 */
function changeMuch(store: MetadataStore): Promise<unknown> {
  return store.mutate(async (transaction) => {
    for (let index = 0; index < 1_000; index += 1) await addRequest(`much ${index}`, '')(transaction);
  });
}

const checkpoint = 'PRAGMA wal_checkpoint(PASSIVE)';

/** The connection with something done before each COMMIT, or another statement. */
function onCommit(connection: SqliteConnection, action: () => void, statement = 'COMMIT'): SqliteConnection {
  return {
    driver: connection.driver,
    get inTransaction() {
      return connection.inTransaction;
    },
    prepare: (sql) => {
      if (sql === statement) action();
      return connection.prepare(sql);
    },
    close: () => connection.close(),
    exec: (sql) => {
      if (sql === statement) action();
      connection.exec(sql);
    },
  };
}

for (const driver of availableDrivers()) {
  metadataStoreSuite(`SQLite by ${driver}`, async () => {
    const dir = await temporaryDirectory();
    let commits = 0;
    const open = () =>
      openSqliteStore({
        path: join(dir, 'metadata.sqlite'),
        clock: standingClock,
        driver,
        wrapWriter: (connection) => onCommit(connection, () => (commits += 1)),
      });
    let store = await open();
    return {
      get store() {
        return store;
      },
      commits: () => commits,
      reopen: async () => {
        store.abandon();
        store = await open();
      },
      dispose: async () => {
        store.abandon();
        await rm(dir, { recursive: true, force: true });
      },
    };
  });
}

describe('the SQLite store', () => {
  const dirs: string[] = [];
  afterEach(async () => {
    for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
  });

  async function openFailing(failure: Error, statement?: string) {
    const dir = await temporaryDirectory();
    dirs.push(dir);
    let fails = false;
    const fatal: unknown[] = [];
    const path = join(dir, 'metadata.sqlite');
    const failing = (): void => {
      if (fails) throw failure;
    };
    const store = await openSqliteStore({
      path,
      clock: standingClock,
      onFatal: (error) => fatal.push(error),
      wrapWriter: (connection) => onCommit(connection, failing, statement),
    });
    return { store, path, fatal, fail: (value: boolean) => (fails = value) };
  }

  it('lets others have their turn when a group has taken long', async () => {
    const dir = await temporaryDirectory();
    dirs.push(dir);
    let nowMs = 0;
    let commits = 0;
    const store = await openSqliteStore({
      path: join(dir, 'metadata.sqlite'),
      clock: { monotonicMs: () => nowMs },
      wrapWriter: (connection) => onCommit(connection, () => (commits += 1)),
    });
    commits = 0;
    const turns: number[] = [];
    const long = Array.from({ length: 10 }, () => store.mutate(async () => (nowMs += 30)));
    const watch = (): void => {
      turns.push(nowMs);
      if (nowMs < 300) setImmediate(watch);
    };
    setImmediate(watch);
    await Promise.all(long);
    await store.close();
    expect(commits).toBe(5);
    expect(turns).toEqual(expect.arrayContaining([60, 120, 180, 240]));
  });

  it('stops for good when a COMMIT fails: a second sync would lie', async () => {
    const { store, fatal, fail } = await openFailing(
      Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' }),
    );
    fail(true);
    await expect(store.mutate(async () => 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    fail(false);
    await expect(store.mutate(async () => 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(store.read(async () => 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(fatal).toHaveLength(1);
    store.abandon();
  });

  it('stops for good when a checkpoint fails, which has not lost anything yet', async () => {
    const { store, fatal, fail, path } = await openFailing(
      Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' }),
      checkpoint,
    );
    fail(true);
    // They were committed before.
    await changeMuch(store);
    expect(fatal).toHaveLength(1);
    await expect(store.mutate(async () => 1)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    store.abandon();
    const again = await openSqliteStore({ path, clock: standingClock });
    const found = await again.read(({ db }) => db.selectFrom('requests').select('request_id').execute());
    expect(found).toHaveLength(1_000);
    await again.close();
  });

  it('makes a checkpoint later when the disk is full', async () => {
    const { store, fatal, fail } = await openFailing(
      Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }),
      checkpoint,
    );
    fail(true);
    await changeMuch(store);
    fail(false);
    await store.mutate(async () => 1);
    expect(fatal).toEqual([]);
    await store.close();
  });

  it('goes on with a checkpoint that a reader has held back, and waits for many changes after it', async () => {
    const dir = await temporaryDirectory();
    dirs.push(dir);
    const path = join(dir, 'metadata.sqlite');
    let checkpoints = 0;
    const store = await openSqliteStore({
      path,
      clock: standingClock,
      wrapWriter: (connection) => onCommit(connection, () => (checkpoints += 1), checkpoint),
    });
    const reader = openDatabase(path, { readOnly: true });
    reader.exec('BEGIN');
    reader.prepare('SELECT * FROM requests').all([]);
    await changeMuch(store);
    const before = checkpoints;
    for (const id of ['a', 'b']) await store.mutate(addRequest(id, ''));
    expect([before > 0, checkpoints]).toEqual([true, before + 2]);
    reader.close();
    for (const id of ['c', 'd', 'e']) await store.mutate(addRequest(id, ''));
    expect(checkpoints).toBe(before + 3);
    await store.close();
  });

  it('has SQLite make no checkpoint that nobody would hear of', async () => {
    const dir = await temporaryDirectory();
    dirs.push(dir);
    const path = join(dir, 'metadata.sqlite');
    const store = await openSqliteStore({ path, clock: standingClock });
    await store.mutate(async () => 0);
    const { mtimeMs, size } = await stat(path);
    await store.mutate(addRequest('large', 'x'.repeat(1_500 * 4_096)));
    // More pages than SQLite's 1,000 are in the log, and none of them in the database.
    expect((await stat(`${path}-wal`)).size).toBeGreaterThan(1_000 * 4_096);
    expect(await stat(path)).toMatchObject({ mtimeMs, size });
    await store.close();
  });

  it('does not wait for changes that can never be made any more, when it is closed', async () => {
    const dir = await temporaryDirectory();
    dirs.push(dir);
    const path = join(dir, 'metadata.sqlite');
    const store = await openSqliteStore({ path, clock: standingClock, startGroup: () => undefined });
    const change = store.mutate(async () => 1);
    const closing = store.close();
    store.abandon();
    await expect(change).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await closing;
  });

  it('says that the disk is full, changes nothing, and goes on when there is room', async () => {
    const { store, fatal, fail } = await openFailing(
      Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }),
    );
    fail(true);
    await expect(store.mutate(async () => 1)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    expect(store.transactionId).toBe(0);
    fail(false);
    await expect(store.mutate(async () => 2)).resolves.toBe(2);
    expect(fatal).toEqual([]);
    store.abandon();
  });

  it('tells nobody of a change that was never committed, nor by a refusal', async () => {
    const { store, fail } = await openFailing(
      Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }),
    );
    fail(true);
    let there = false;
    const outcomes = await Promise.allSettled([
      store.mutate(async () => (there = true)),
      store.mutate(async () => {
        if (there) throw new HoldfastError('ALREADY_EXISTS', 'it is there');
      }),
    ]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'OUT_OF_SPACE' } });
    store.abandon();
  });

  it.each(availableDrivers())('has every COMMIT synced, by %s', async (driver) => {
    const dir = await temporaryDirectory();
    dirs.push(dir);
    const database = openDatabase(join(dir, 'metadata.sqlite'), { readOnly: false, driver });
    // 2 is FULL: NORMAL would lose the last commits at a power cut.
    expect(database.prepare('PRAGMA synchronous').all([])).toEqual([{ synchronous: 2 }]);
    database.close();
  });

  it('refuses metadata of a later version', async () => {
    const dir = await temporaryDirectory();
    dirs.push(dir);
    const path = join(dir, 'metadata.sqlite');
    (await openSqliteStore({ path, clock: standingClock })).abandon();
    const database = openDatabase(path, { readOnly: false });
    database.exec('UPDATE schema_version SET version = 999');
    database.close();
    await expect(openSqliteStore({ path, clock: standingClock })).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
    });
  });
});
