/**
 * The metadata store on SQLite: one writing connection with group commit, one reading connection.
 *
 * The failure it answers: a sync takes longer than all else in a small mutation, so one sync each would bound
 * the whole cluster. Mutations that wait together run one after another inside one SQLite transaction, each in a
 * savepoint so that one that throws takes only itself back, and share one COMMIT.
 *
 * The promise: nobody is answered before the COMMIT of his group, not even with a refusal, which may rest on the
 * change of another; readers have a connection of their own and never see a group that is open. A COMMIT that fails is final: the state of the disk is then unknown and a
 * second sync would lie (pages are marked clean), so the store stops, fails everything, and says so once.
 */
import { type Clock, HoldfastError } from '@holdfast/shared';
import { Kysely, SqliteDialect, type SqliteStatement } from 'kysely';
import { migrate } from '../migrations.js';
import type { Counters, MetadataSnapshot, MetadataStore, MetadataTransaction } from '../metadata-store.js';
import type { PreparedQuery, QueryArguments } from '../prepared.js';
import type { MetadataTables } from '../schema.js';
import {
  type SqliteConnection,
  type SqliteDriverName,
  diskFull,
  isDiskFull,
  isResult,
  openDatabase,
} from './database.js';

/** More wait only if the disk stands still; the next one is told to come back. About 10 s of a slow disk. */
const maxQueued = 4_096;
/**
 * A group holds the event loop until it is done, and takes nobody along after this: most mutations take 0.2 ms, a
 * commit of a thousand files a hundred, and a hundred of those in one group would be ten seconds without a heartbeat.
 */
const maxGroupMs = 50;
/**
 * Rows changed between two checkpoints. SQLite itself makes one every 1,000 pages, which it tells nobody; it does tell how
 * many rows it has changed. In the log at a checkpoint were 60 to 500 pages where many changed something at once, and 2,000
 * (8 MB) where one did after the other.
 */
const changesPerCheckpoint = 1_000;
/** How long a caller that found the queue full should wait. */
const retryAfterMs = 250;

export interface SqliteStoreOptions {
  /** The database file; its `-wal` and `-shm` stand beside it. */
  readonly path: string;
  /** Told once, when the store failed for good: the process should end. */
  readonly onFatal?: (error: HoldfastError) => void;
  readonly driver?: SqliteDriverName;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Wraps the writing connection; for tests that count or fail its statements. */
  readonly wrapWriter?: (connection: SqliteConnection) => SqliteConnection;
  /** When a group starts that somebody waits for: by default after a turn of the event loop. */
  readonly startGroup?: (start: () => void) => void;
}

/** Pages of the log, and how many of those the database has now. */
interface CheckpointResult {
  readonly busy: 0 | 1;
  readonly log: number;
  readonly checkpointed: number;
}

interface Queued {
  run(tx: MetadataTransaction): Promise<void>;
  /** What is to happen once it is on stable storage. */
  readonly effects: (() => void)[];
  /** Answers the caller after the COMMIT, or instead of it. */
  settle(failure?: HoldfastError): void;
}

export async function openSqliteStore(options: SqliteStoreOptions): Promise<SqliteStore> {
  const { path, driver, wrapWriter = (connection) => connection } = options;
  const writer = wrapWriter(openDatabase(path, { readOnly: false, driver }));
  const db = new Kysely<MetadataTables>({ dialect: new SqliteDialect({ database: writer }) });
  try {
    writer.exec('BEGIN IMMEDIATE');
    await migrate(db);
    writer.exec('COMMIT');
  } catch (error) {
    writer.close();
    if (HoldfastError.is(error)) throw error;
    throw new HoldfastError('DATA_DIR_INVALID', `cannot use the metadata in ${path}: ${String(error)}`, {
      cause: error,
      remedy: 'Check the disk it is on; restore it from a backup if it is damaged.',
    });
  }
  const reader = openDatabase(path, { readOnly: true, driver: writer.driver });
  const row = await db.selectFrom('cluster').selectAll().executeTakeFirst();
  return new SqliteStore(options, writer, reader, db, row ?? {});
}

export class SqliteStore implements MetadataStore {
  readonly #options: SqliteStoreOptions;
  readonly #writer: SqliteConnection;
  readonly #reader: SqliteConnection;
  readonly #writeDb: Kysely<MetadataTables>;
  readonly #readDb: Kysely<MetadataTables>;
  #transactionId: number;
  #counters: Counters;
  #queue: Queued[] = [];
  #scheduled = false;
  /** The group that runs, or the last one. */
  #group: Promise<void> = Promise.resolve();
  #lastRead: Promise<unknown> = Promise.resolve();
  readonly #totalChanges: SqliteStatement;
  /** What SQLite had counted at the last checkpoint. What an earlier start left in the log was taken over (left-log.ts). */
  #checkpointedChanges = 0;
  #closed: HoldfastError | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(
    options: SqliteStoreOptions,
    writer: SqliteConnection,
    reader: SqliteConnection,
    writeDb: Kysely<MetadataTables>,
    row: Partial<Counters> & { transaction_id?: number },
  ) {
    this.#options = options;
    this.#writer = writer;
    this.#totalChanges = writer.prepare('SELECT total_changes() AS changes');
    this.#reader = reader;
    this.#writeDb = writeDb;
    this.#readDb = new Kysely<MetadataTables>({ dialect: new SqliteDialect({ database: reader }) });
    this.#transactionId = row.transaction_id ?? 0;
    this.#counters = {
      last_version: row.last_version ?? 0,
      last_entry_id: row.last_entry_id ?? 0,
      files: row.files ?? 0,
      directories: row.directories ?? 0,
      logical_bytes: row.logical_bytes ?? 0,
      chunks: row.chunks ?? 0,
      open_uploads: row.open_uploads ?? 0,
      requests: row.requests ?? 0,
      trashed_versions: row.trashed_versions ?? 0,
      trashed_bytes: row.trashed_bytes ?? 0,
      retired_bytes: row.retired_bytes ?? 0,
      served_ms: row.served_ms ?? 0,
      last_change_id: row.last_change_id ?? 0,
    };
  }

  get transactionId(): number {
    return this.#transactionId;
  }

  get counters(): Readonly<Counters> {
    return this.#counters;
  }

  mutate<T>(mutate: (tx: MetadataTransaction) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#queue.length >= maxQueued) {
      return Promise.reject(
        new HoldfastError('LIMIT_EXCEEDED', `${maxQueued} changes wait for the tracker's disk`, {
          retryable: true,
          retryAfterMs,
          remedy: 'Try again; if it lasts, the disk of the tracker is too slow or failing.',
        }),
      );
    }
    return new Promise<T>((resolve, reject) => {
      let answer: () => void;
      this.#queue.push({
        effects: [],
        run: async (tx) => {
          try {
            const result = await mutate(tx);
            answer = () => resolve(result);
          } catch (error) {
            answer = () => reject(isDiskFull(error) ? diskFull(error) : (error as Error));
            throw error;
          }
        },
        settle: (failure) => (failure ? reject(failure) : answer()),
      });
      this.#schedule();
    });
  }

  /** The group starts after all requests that have arrived by now were read: they share its sync. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // eslint-disable-next-line no-restricted-globals -- a turn of the event loop, not a time; a driver may
    const { startGroup = setImmediate } = this.#options;
    startGroup(() => {
      this.#group = this.#runGroup().finally(() => {
        this.#scheduled = false;
        if (this.#queue.length > 0) this.#schedule();
      });
    });
  }

  async #runGroup(): Promise<void> {
    const done: Queued[] = [];
    let transactionId = this.#transactionId;
    let counters = { ...this.#counters };
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + maxGroupMs;
    try {
      if (this.#closed) throw this.#closed;
      this.#writer.exec('BEGIN IMMEDIATE');
      // The queue is looked at anew each time: who comes while the group runs is taken along.
      for (
        let next = this.#queue.shift();
        next;
        next = clock.monotonicMs() < endMs ? this.#queue.shift() : undefined
      ) {
        done.push(next);
        const after = await this.#runOne(next, transactionId + 1, counters);
        if (!after) continue;
        transactionId += 1;
        counters = after;
      }
      await this.#writeCluster(transactionId, counters);
      this.#commit();
      this.#transactionId = transactionId;
      this.#counters = counters;
    } catch (error) {
      const failure = this.#giveUpGroup(error);
      for (const queued of done) queued.settle(failure);
      return;
    }
    for (const queued of done) {
      for (const effect of queued.effects) effect();
      queued.settle();
    }
    for (const listener of this.#listeners) listener();
    this.#checkpointIfDue();
  }

  /**
   * Takes the log over into the database. One that fails is final, as a COMMIT is: what the kernel could not write it takes
   * for written, so that the next one would succeed, and begin the log anew in which alone it is.
   */
  #checkpointIfDue(): void {
    if (this.#closed) return;
    try {
      const [row] = this.#totalChanges.all([]) as { changes: number }[];
      const changes = row?.changes ?? 0;
      if (changes - this.#checkpointedChanges < changesPerCheckpoint) return;
      const [done] = this.#writer.prepare('PRAGMA wal_checkpoint(PASSIVE)').all([]) as CheckpointResult[];
      // A reader can hold back a part of it: that is tried again after the next group.
      if (done?.busy === 0 && done.checkpointed === done.log) this.#checkpointedChanges = changes;
    } catch (error) {
      // On a full disk it is tried again after the next group: the log, which has it all, is synced.
      if (!isDiskFull(error)) this.#fail(error);
    }
  }

  onCommitted(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** The counters after it, or undefined if it threw and was taken back. Throws if the whole group is lost. */
  async #runOne(queued: Queued, transactionId: number, before: Counters): Promise<Counters | undefined> {
    const counters = { ...before };
    this.#writer.exec('SAVEPOINT one');
    try {
      await queued.run({
        ...snapshotOf(this.#writer, this.#writeDb),
        transactionId,
        count: (counter, delta) => (counters[counter] += delta),
        onCommit: (effect) => queued.effects.push(effect),
      });
    } catch (error) {
      queued.effects.length = 0;
      // SQLite takes the whole transaction back itself when the disk is full or failing.
      if (this.#closed || isDiskFailure(error) || !this.#writer.inTransaction) throw error;
      this.#writer.exec('ROLLBACK TO one');
      this.#writer.exec('RELEASE one');
      return undefined;
    }
    this.#writer.exec('RELEASE one');
    return counters;
  }

  async #writeCluster(transactionId: number, counters: Counters): Promise<void> {
    if (transactionId === this.#transactionId) return;
    await this.#writeDb
      .updateTable('cluster')
      .set({ ...counters, transaction_id: transactionId })
      .execute();
  }

  #commit(): void {
    try {
      this.#writer.exec('COMMIT');
    } catch (error) {
      if (!isDiskFull(error)) this.#fail(error);
      throw error;
    }
  }

  /** Rolls the group back, and says what its members are to be told. */
  #giveUpGroup(error: unknown): HoldfastError {
    if (this.#closed) return this.#closed;
    try {
      if (this.#writer.inTransaction) this.#writer.exec('ROLLBACK');
    } catch (rollbackError) {
      return this.#fail(rollbackError);
    }
    return isDiskFull(error) ? diskFull(error) : this.#fail(error);
  }

  #fail(error: unknown): HoldfastError {
    if (this.#closed) return this.#closed;
    this.#closed = new HoldfastError('UNAVAILABLE', 'the metadata store failed; the outcome is unknown', {
      cause: error,
      remedy: 'Check the disk of the tracker, then start it again; ask again with the same request_id.',
    });
    this.#rejectQueued();
    this.#options.onFatal?.(this.#closed);
    return this.#closed;
  }

  #rejectQueued(): void {
    const queued = this.#queue;
    this.#queue = [];
    for (const each of queued) each.settle(this.#closed);
  }

  read<T>(read: (snapshot: MetadataSnapshot) => Promise<T>): Promise<T> {
    // One after the other: the connection has one snapshot at a time, and a read holds it for microseconds.
    const result = this.#lastRead.then(() => this.#readOne(read));
    this.#lastRead = result.catch(() => undefined);
    return result;
  }

  async #readOne<T>(read: (snapshot: MetadataSnapshot) => Promise<T>): Promise<T> {
    if (this.#closed) throw this.#closed;
    this.#reader.exec('BEGIN');
    try {
      return await read(snapshotOf(this.#reader, this.#readDb));
    } catch (error) {
      throw isDiskFailure(error) ? unreadable(error) : error;
    } finally {
      if (!this.#closed && this.#reader.inTransaction) this.#reader.exec('ROLLBACK');
    }
  }

  async close(): Promise<void> {
    // One that was abandoned meanwhile has a group that may never start.
    while (this.#scheduled && !this.#closed) {
      // eslint-disable-next-line no-restricted-globals -- as in #schedule
      await new Promise((resolve) => setImmediate(resolve));
      await this.#group;
    }
    await this.#lastRead;
    this.#shut('the tracker is stopping');
  }

  abandon(): void {
    this.#shut('the tracker was stopped');
  }

  #shut(why: string): void {
    const wasOpen = !this.#closed;
    this.#closed ??= new HoldfastError('UNAVAILABLE', why, { remedy: 'Try again when the tracker is back.' });
    this.#rejectQueued();
    // One that failed stays open until the process ends: closed, SQLite would sync the database once more, which the kernel
    // would answer well, and remove the log, which alone has what could not be written.
    if (!wasOpen) return;
    for (const connection of [this.#reader, this.#writer]) {
      if (connection.inTransaction) connection.exec('ROLLBACK');
      connection.close();
    }
  }
}

function snapshotOf(connection: SqliteConnection, db: Kysely<MetadataTables>): MetadataSnapshot {
  return {
    db,
    run: async <A extends QueryArguments, R>(query: PreparedQuery<A, R>, args: A): Promise<R[]> => {
      const { sql, parameters } = query.compile(db, args);
      const statement = connection.prepare(sql);
      if (statement.reader) return statement.all(parameters) as R[];
      statement.run(parameters);
      return [];
    },
  };
}

function unreadable(cause: unknown): HoldfastError {
  return new HoldfastError(
    'DISK_FAILED',
    'the metadata of the tracker cannot be read: it is damaged, or its disk',
    {
      cause,
      remedy: 'Check the disk of the tracker and the kernel log; put the newest backup of the metadata back.',
    },
  );
}

/** A read or write of the file that failed, or a file that makes no sense. */
function isDiskFailure(error: unknown): boolean {
  return isResult(error, 'IOERR') || isResult(error, 'CORRUPT');
}
