/**
 * A tracker's core on a real database in a temporary directory, with a clock that tests move, and keepers that
 * are nothing but their words. Options that a test writes out matter to it; all others are here.
 */
import {
  type Receipt,
  defaultPolicy,
  hasCode,
  type ErrorCode,
  silentLogger,
  signReceipt,
  type Policy,
} from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { expect } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TrackerCore, buildCore } from '../../src/core.js';
import type { ScrubProgress } from '../../src/membership/keeper.js';
import type { PieceSummary } from '../../src/registry/adopt.js';
import type { KeeperTask } from '../../src/registry/task-board.js';
import { type TrackerSettings, defaultSettings } from '../../src/settings.js';
import { type SqliteStore, openSqliteStore } from '../../src/store/sqlite/sqlite-store.js';
import type { FileVersion, SealedChunk, UploadSession } from '../../src/uploads/upload.js';
import { ManualClock } from './manual-clock.js';

const MiB = 1024 * 1024;

export function id(): string {
  return systemRandom.bytes(16).toString('hex');
}

export function digestOf(chunkId: string): string {
  return createHash('sha256').update(chunkId).digest('hex');
}

export function names(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}

/** Of a metadata store: what comes together is one group, however slow the machine. */
export const standingClock = { monotonicMs: () => 0 };

export async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'holdfast-tracker-'));
}

/** Resolves to the error that the promise rejects with, which must have the code. */
export async function failure(code: ErrorCode, promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!hasCode(error, code)) expect(error ?? 'it succeeded').toBe(code);
  return error as Error;
}

/** A keeper as far as the tracker can tell. */
export class FakeKeeper {
  readonly keeperId = id();
  storageId = id();
  incarnation = 1;
  freeBytes = 1_000 * MiB;
  activeStreams = 0;
  /** As it tells with its heartbeats. */
  scrub: ScrubProgress | undefined;
  totalBytes = 2_000 * MiB;
  zone = '';
  storageError: string | null = null;
  readonly address: string;
  readonly #tracker: TestTracker;

  constructor(tracker: TestTracker, port: number) {
    this.#tracker = tracker;
    this.address = `127.0.0.1:${port}`;
  }

  get identity() {
    return { keeperId: this.keeperId, storageId: this.storageId, incarnation: this.incarnation };
  }

  get capacity() {
    return { totalBytes: this.totalBytes, usedBytes: 0, freeBytes: this.freeBytes, trashBytes: 0 };
  }

  async register(
    clusterId = '',
    witnessed?: Parameters<TrackerCore['registry']['register']>[2],
  ): Promise<void> {
    const { identity, capacity, address, zone } = this;
    await this.#tracker.core.registry.register(
      { ...identity, address, zone, capacity, softwareVersion: 'test' },
      clusterId,
      witnessed,
    );
  }

  heartbeat(
    options: { stored?: PieceSummary[]; stopping?: boolean; slots?: number } = {},
  ): Promise<KeeperTask[]> {
    const { stored = [], stopping = false, slots = 10 } = options;
    return this.#tracker.core.registry.heartbeat(
      {
        ...this.identity,
        capacity: this.capacity,
        activeStreams: this.activeStreams,
        freeTaskSlots: slots,
        stopping,
        storageError: this.storageError,
        scrub: this.scrub,
      },
      stored,
    );
  }

  /** A full report in one page; answers what the tracker asks for, if it does. */
  async report(chunkIds: readonly string[], lengthBytes = 100): Promise<void> {
    await this.#tracker.core.registry.report(this.identity, {
      ...this.identity,
      reportId: id(),
      page: 0,
      pieces: [...chunkIds].sort().map((chunkId) => pieceOf(chunkId, lengthBytes)),
      last: true,
      wantedReport: this.#tracker.core.reports.askedOf(this.keeperId),
    });
  }

  receipt(chunkId: string, lengthBytes = 100, digest = digestOf(chunkId)): Receipt {
    return signReceipt(
      {
        ...this.identity,
        chunkId,
        pieceIndex: 0,
        lengthBytes,
        digest: Buffer.from(digest, 'hex'),
      },
      this.#tracker.core.identity.receiptKey(this.storageId),
    );
  }

  /** Does a task, or fails it with `error`. */
  async complete(task: KeeperTask, error?: Error): Promise<void> {
    const { action } = task;
    await this.#tracker.core.registry.completeTask({
      identity: this.identity,
      taskId: task.taskId,
      error: error as never,
      receipt:
        action.kind === 'fetch' && !error ? this.receipt(action.chunkId, action.lengthBytes) : undefined,
      trashedChunkIds: action.kind === 'trash' && !error ? action.chunkIds : [],
    });
  }
}

export function pieceOf(chunkId: string, lengthBytes = 100): PieceSummary {
  return { chunkId, lengthBytes, digest: digestOf(chunkId) };
}

export function sealedOf(chunkId: string, keepers: readonly FakeKeeper[], lengthBytes = 100): SealedChunk {
  return {
    chunkId,
    lengthBytes,
    digest: digestOf(chunkId),
    fileOffset: 0,
    receipts: keepers.map((keeper) => keeper.receipt(chunkId, lengthBytes)),
  };
}

export function fileOf(
  path: string,
  chunkIds: readonly string[],
  options: Partial<FileVersion> = {},
): FileVersion {
  return {
    names: names(path),
    sizeBytes: chunkIds.length * 100,
    extents: chunkIds.map((chunkId) => ({ chunkId, chunkOffset: 0, lengthBytes: 100 })),
    expectedVersion: undefined,
    createParents: true,
    attributes: {},
    ...options,
  };
}

export class TestTracker {
  readonly dir: string;
  settings: TrackerSettings;
  clock = new ManualClock();
  store!: SqliteStore;
  core!: TrackerCore;
  readonly keepers: FakeKeeper[] = [];
  /** How many statements have run in transactions. */
  statements = 0;

  private constructor(dir: string, settings: Partial<TrackerSettings>) {
    this.dir = dir;
    this.settings = { ...defaultSettings, ...settings };
  }

  /** With `keepers` registered keepers that have reported that they are empty. */
  static async start(
    options: { keepers?: number; settings?: Partial<TrackerSettings> } = {},
  ): Promise<TestTracker> {
    const tracker = new TestTracker(await temporaryDirectory(), options.settings ?? {});
    await tracker.open();
    for (let index = 0; index < (options.keepers ?? 0); index += 1) await tracker.addKeeper();
    return tracker;
  }

  async addKeeper(port = 7_500 + this.keepers.length): Promise<FakeKeeper> {
    const keeper = new FakeKeeper(this, port);
    this.keepers.push(keeper);
    await keeper.register();
    await keeper.report([]);
    return keeper;
  }

  async open(): Promise<void> {
    this.store = await openSqliteStore({
      path: join(this.dir, 'metadata.sqlite'),
      clock: standingClock,
      wrapWriter: (connection) => ({
        driver: connection.driver,
        get inTransaction() {
          return connection.inTransaction;
        },
        exec: (sql) => connection.exec(sql),
        close: () => connection.close(),
        prepare: (sql) => {
          this.statements += 1;
          return connection.prepare(sql);
        },
      }),
    });
    this.core = await buildCore({
      store: this.store,
      clock: this.clock,
      random: systemRandom,
      logger: silentLogger,
      settings: this.settings,
    });
  }

  /** As after SIGKILL: what was not committed is gone. Keepers must register again. Some settings may be others then. */
  async restart(settings: Partial<TrackerSettings> = {}): Promise<void> {
    this.store.abandon();
    this.settings = { ...this.settings, ...settings };
    this.clock = new ManualClock();
    await this.open();
  }

  async end(): Promise<void> {
    await this.store.close();
    await rm(this.dir, { recursive: true, force: true });
  }

  /** Lets time pass as it does for a tracker that runs: leases are looked at every second. */
  async pass(durationMs: number, alive: readonly FakeKeeper[] = this.keepers): Promise<void> {
    for (let passedMs = 0; passedMs < durationMs; passedMs += 1_000) {
      this.clock.advance(Math.min(1_000, durationMs - passedMs));
      for (const keeper of alive) await keeper.heartbeat({ slots: 0 });
      await this.core.registry.tick();
      await this.core.reclaim.step();
    }
  }

  async begin(
    options: { path?: string; count?: number; policy?: Policy; requestId?: string; leaseMs?: number } = {},
  ): Promise<{ session: UploadSession; chunkIds: string[] }> {
    const { path = '/file', count = 1, policy = defaultPolicy, requestId = id(), leaseMs } = options;
    const { session, allocations } = await this.core.uploads.begin({
      names: names(path),
      ...(leaseMs !== undefined && { leaseMs }),
      requestId,
      policy,
      expectedVersion: undefined,
      createParents: true,
      allocateCount: count,
      chunkSizeBytes: MiB,
      excludeKeeperIds: [],
    });
    return { session, chunkIds: allocations.map((allocation) => allocation.chunkId) };
  }

  /** Uploads a file of `count` chunks of `lengthBytes` (default 100), with receipts of `on`; returns its chunks and version. */
  async put(
    path: string,
    options: { count?: number; lengthBytes?: number; on?: readonly FakeKeeper[]; policy?: Policy } = {},
  ): Promise<{ chunkIds: string[]; version: number }> {
    const { count = 1, lengthBytes = 100, on = this.keepers, policy = defaultPolicy } = options;
    const { session, chunkIds } = await this.begin({ path, count, policy });
    const sealed = chunkIds.map((chunkId) => sealedOf(chunkId, on, lengthBytes));
    const extents = chunkIds.map((chunkId) => ({ chunkId, chunkOffset: 0, lengthBytes }));
    const file = fileOf(path, chunkIds, { sizeBytes: count * lengthBytes, extents });
    const [committed] = await this.core.uploads.commit(session.uploadId, id(), [file], sealed);
    return { chunkIds, version: committed?.version ?? 0 };
  }

  /** Which keepers have which pieces of a chunk, by state. */
  async pieces(chunkId: string): Promise<Record<string, string>> {
    const rows = await this.store.read(({ db }) =>
      db.selectFrom('pieces').select(['keeper_id', 'state']).where('chunk_id', '=', chunkId).execute(),
    );
    return Object.fromEntries(rows.map((row) => [row.keeper_id, row.state]));
  }

  /** The chunks that the metadata says a keeper has. */
  async reported({ keeperId }: FakeKeeper): Promise<string[]> {
    const rows = await this.store.read(({ db }) =>
      db
        .selectFrom('pieces')
        .select('chunk_id')
        .where('keeper_id', '=', keeperId)
        .where('state', '=', 'durable')
        .execute(),
    );
    return rows.map((row) => row.chunk_id);
  }

  async chunkState(chunkId: string): Promise<string | undefined> {
    const row = await this.store.read(({ db }) =>
      db.selectFrom('chunks').select('state').where('chunk_id', '=', chunkId).executeTakeFirst(),
    );
    return row?.state;
  }

  async queued(): Promise<string[]> {
    const rows = await this.store.read(({ db }) =>
      db.selectFrom('repair_queue').select('chunk_id').orderBy('chunk_id').execute(),
    );
    return rows.map((row) => row.chunk_id);
  }
}
