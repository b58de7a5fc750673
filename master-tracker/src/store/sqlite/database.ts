/**
 * A SQLite database file, through the driver that this Node offers, in the shape that Kysely wants.
 *
 * The failure it answers: a native add-on that does not load on somebody's machine. From Node 22.13 on SQLite is
 * part of Node; before that `better-sqlite3` brings it. Both behave the same behind this interface.
 *
 * Statements are cached by their text: Kysely prepares every time, which costs more than running most of ours.
 */
import { HoldfastError, errnoOf } from '@holdfast/shared';
import { createRequire } from 'node:module';
import type { SqliteDatabase, SqliteStatement } from 'kysely';

export type SqliteDriverName = 'node' | 'better-sqlite3';

export interface SqliteConnection extends SqliteDatabase {
  readonly driver: SqliteDriverName;
  /** Runs statements that return nothing and are not worth caching. */
  exec(sql: string): void;
  /** False after SQLite itself rolled a transaction back, as it does when the disk is full. */
  readonly inTransaction: boolean;
}

/** The statements in use are about a hundred; the rest is room for lists of many lengths. */
const maxCachedStatements = 500;
/** Two connections of one process only meet for moments, at a checkpoint. */
const busyTimeoutMs = 5_000;

/** What both drivers have in common, as far as it is used here. */
interface RawStatement {
  readonly reader?: boolean;
  columns?(): unknown[];
  all(...parameters: unknown[]): unknown[];
  run(...parameters: unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint };
  iterate(...parameters: unknown[]): IterableIterator<unknown>;
}

interface RawDatabase {
  readonly inTransaction?: boolean;
  readonly isTransaction?: boolean;
  exec(sql: string): unknown;
  prepare(sql: string): RawStatement;
  close(): unknown;
}

type OpenRaw = (path: string, readOnly: boolean) => RawDatabase;

const require = createRequire(import.meta.url);
/** Named apart: checkers that run on an older Node would take it for a mistake. */
const builtin = 'node:sqlite';

const drivers: Readonly<Record<SqliteDriverName, () => OpenRaw>> = {
  node: () => {
    const { DatabaseSync } = require(builtin) as {
      DatabaseSync: new (path: string, options: { readOnly: boolean }) => RawDatabase;
    };
    return (path, readOnly) => new DatabaseSync(path, { readOnly });
  },
  'better-sqlite3': () => {
    const Database = require('better-sqlite3') as new (
      path: string,
      options: { readonly: boolean },
    ) => RawDatabase;
    return (path, readonly) => new Database(path, { readonly });
  },
};

/** The drivers that load in this process, the preferred one first. */
export function availableDrivers(): SqliteDriverName[] {
  return (Object.keys(drivers) as SqliteDriverName[]).filter((name) => loadDriver(name) !== undefined);
}

const loaded = new Map<SqliteDriverName, OpenRaw | undefined>();

function loadDriver(name: SqliteDriverName): OpenRaw | undefined {
  if (!loaded.has(name)) {
    let open: OpenRaw | undefined;
    try {
      open = drivers[name]();
      // better-sqlite3 loads its native part only when a database is opened.
      open(':memory:', false).close();
    } catch {
      // Not there, or not for this machine: openDatabase says so if no other driver is either.
      open = undefined;
    }
    loaded.set(name, open);
  }
  return loaded.get(name);
}

/**
 * Opens a database file, making it if need be.
 *
 * @throws HoldfastError INTERNAL if no driver loads; DATA_DIR_INVALID if the file is not a database, or another program has
 *   it open and it is wanted alone
 */
export function openDatabase(
  path: string,
  options: {
    readonly readOnly: boolean;
    readonly driver?: SqliteDriverName | undefined;
    /** Nobody else has it open, in any process, nor can open it until this connection is closed. */
    readonly alone?: boolean;
  },
): SqliteConnection {
  const driver = options.driver ?? availableDrivers()[0];
  const open = driver && loadDriver(driver);
  if (!driver || !open) {
    throw new HoldfastError('INTERNAL', 'no SQLite driver loads on this machine', {
      remedy: 'Use Node 22.13 or later, which has SQLite built in, or install better-sqlite3.',
    });
  }
  let raw: RawDatabase | undefined;
  try {
    raw = open(path, options.readOnly);
    return new CachingConnection(driver, raw, options);
  } catch (error) {
    // Left open, it would share SQLite's state of the file with whoever opens one in this process later.
    raw?.close();
    if (isResult(error, 'BUSY')) {
      throw new HoldfastError('DATA_DIR_INVALID', `another program has the metadata in ${path} open`, {
        cause: error,
        remedy: `End it (\`fuser ${path}\` says which it is), then start the tracker again.`,
      });
    }
    throw new HoldfastError('DATA_DIR_INVALID', `cannot open the metadata in ${path}: ${String(error)}`, {
      cause: error,
      remedy: 'Check who owns the file and the disk it is on; restore it from a backup if it is damaged.',
    });
  }
}

const resultCodes = { BUSY: 5, IOERR: 10, CORRUPT: 11, FULL: 13 } as const;

/** Whether SQLite ended with this result, or an extended one of it: SQLITE_IOERR_FSYNC is an IOERR. */
export function isResult(error: unknown, name: keyof typeof resultCodes): boolean {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  // better-sqlite3 names the result code, node:sqlite numbers it, with what extends it above the low byte.
  if (typeof errcode === 'number') return (errcode & 0xff) === resultCodes[name];
  return typeof code === 'string' && `${code}_`.startsWith(`SQLITE_${name}_`);
}

export function isDiskFull(error: unknown): boolean {
  return isResult(error, 'FULL') || errnoOf(error) === 'ENOSPC';
}

/** OUT_OF_SPACE, because of an error that `isDiskFull`. */
export function diskFull(cause: unknown): HoldfastError {
  return new HoldfastError('OUT_OF_SPACE', "the tracker's disk is full; nothing was changed", {
    cause,
    remedy: 'Free space on the disk that holds the data directory of the tracker.',
  });
}

class CachingConnection implements SqliteConnection {
  readonly driver: SqliteDriverName;
  readonly #raw: RawDatabase;
  readonly #statements = new Map<string, SqliteStatement>();

  constructor(
    driver: SqliteDriverName,
    raw: RawDatabase,
    { readOnly, alone = false }: { readOnly: boolean; alone?: boolean },
  ) {
    this.driver = driver;
    this.#raw = raw;
    raw.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    if (readOnly) return;
    // Before the file is looked at: then SQLite locks all of it, and reads the log itself instead of the memory that
    // connections share, which tells what is in the log, and how much of it the database has.
    if (alone) raw.exec('PRAGMA locking_mode = EXCLUSIVE');
    raw.exec('PRAGMA journal_mode = WAL');
    // NORMAL would lose the last commits at a power cut.
    raw.exec('PRAGMA synchronous = FULL');
    // SQLite's own checkpoints tell nobody when they fail: the store makes them.
    raw.exec('PRAGMA wal_autocheckpoint = 0');
  }

  get inTransaction(): boolean {
    return this.#raw.inTransaction ?? this.#raw.isTransaction ?? true;
  }

  exec(sql: string): void {
    this.#raw.exec(sql);
  }

  prepare(sql: string): SqliteStatement {
    const known = this.#statements.get(sql);
    if (known) {
      // A Map keeps the order of insertion: taken out and put in again means used last.
      this.#statements.delete(sql);
      this.#statements.set(sql, known);
      return known;
    }
    const statement = adapt(this.#raw.prepare(sql), sql);
    this.#statements.set(sql, statement);
    if (this.#statements.size > maxCachedStatements) {
      const [oldest] = this.#statements.keys();
      if (oldest !== undefined) this.#statements.delete(oldest);
    }
    return statement;
  }

  close(): void {
    this.#statements.clear();
    this.#raw.close();
  }
}

function adapt(raw: RawStatement, sql: string): SqliteStatement {
  // node:sqlite before 22.16 cannot say whether a statement returns rows.
  const reader =
    raw.reader ??
    (raw.columns ? raw.columns().length > 0 : /^\s*(select|with|pragma)\b|\breturning\b/i.test(sql));
  return {
    reader,
    all: (parameters) => raw.all(...parameters),
    run: (parameters) => raw.run(...parameters),
    iterate: (parameters) => raw.iterate(...parameters),
  };
}
