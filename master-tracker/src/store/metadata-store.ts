/**
 * The metadata store: where everything lives that must survive. The failure it answers: an acknowledged change
 * that is gone after a power cut, and a change that is half there.
 *
 * The promise: `mutate` resolves when its transaction is on stable storage, or rejects and has had no effect;
 * `read` sees only committed transactions, all of one moment. Asynchronous from the first day, so that a shared
 * database can stand behind it later.
 */
import type { Kysely } from 'kysely';
import type { PreparedQuery, QueryArguments } from './prepared.js';
import type { MetadataTables } from './schema.js';

/** Counts that are kept with every transaction, so that reading them costs nothing. */
export interface Counters {
  /** Never decreases, never reused. */
  last_version: number;
  /** Never decreases, never reused. */
  last_entry_id: number;
  files: number;
  directories: number;
  logical_bytes: number;
  chunks: number;
  open_uploads: number;
  requests: number;
  trashed_versions: number;
  trashed_bytes: number;
  retired_bytes: number;
  /** Never decreases. */
  served_ms: number;
  /** Never decreases, never reused. */
  last_change_id: number;
}

export interface MetadataSnapshot {
  readonly db: Kysely<MetadataTables>;
  /** The rows of a prepared query; none if it returns none. For what every upload asks. */
  run<A extends QueryArguments, R>(query: PreparedQuery<A, R>, args: A): Promise<R[]>;
}

export interface MetadataTransaction extends MetadataSnapshot {
  /** This transaction's number in the cluster: one more than the one before, also across restarts. */
  readonly transactionId: number;
  /** Adds to a counter, as part of this transaction; returns its new value. */
  count(counter: keyof Counters, delta: number): number;
  /**
   * Has `effect` run once this transaction is on stable storage, before anybody is answered and in the order of
   * transactions; never if it has no effect. For what memory says of the metadata. It must not throw.
   */
  onCommit(effect: () => void): void;
}

export interface MetadataStore {
  /**
   * Runs `mutate` as one transaction; resolves after it is on stable storage. `mutate` must await nothing but
   * queries on `tx.db`: others wait for it. Throwing in it takes back all that it did, and only that.
   *
   * @throws HoldfastError LIMIT_EXCEEDED (retryable) when too many wait already; OUT_OF_SPACE; UNAVAILABLE when
   *   the store failed or is closed, and then the outcome is unknown
   */
  mutate<T>(mutate: (tx: MetadataTransaction) => Promise<T>): Promise<T>;
  /** A consistent read of what is committed; the same rule for what `read` may await. */
  read<T>(read: (snapshot: MetadataSnapshot) => Promise<T>): Promise<T>;
  /** Has `listener` called whenever transactions have reached stable storage, from now on. It must not throw. */
  onCommitted(listener: () => void): void;
  /** The last transaction that is on stable storage. */
  readonly transactionId: number;
  /** The counters as of that transaction. */
  readonly counters: Readonly<Counters>;
  /** Lets what was begun end, then closes. */
  close(): Promise<void>;
  /** Drops everything that is not committed and lets go of the files: as near to a crash as a process can be. */
  abandon(): void;
}
