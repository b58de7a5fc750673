/**
 * Reclamation: what nothing refers to any more gives its room back, in small steps, each a transaction:
 *
 *   a deleted tree      → its files' versions go to the trash
 *   a trashed version   → once its time is over, or nobody wants it any more, or room is short: it is retired
 *   a retired version   → once its grace is over, or room is short and nobody reads it: its extents go, and chunks
 *                         without extents become garbage
 *   an upload that is over → the chunks that no file uses become garbage
 *   a garbage chunk     → its pieces are tombstones; their keepers are told to trash them
 *   a trashed piece     → the keeper says so, its row goes (registry); that of a live chunk a while later
 *   a garbage chunk without pieces → once no write token for it can be good any more, its row goes
 *
 * The failure it answers: clean-up is where storage systems lose data. Nothing here looks for what seems unused;
 * each step follows a reference that a transaction has given up. And nothing is deleted while the metadata is
 * behind what keepers have witnessed.
 */
import { type Policy, limits } from '@holdfast/shared';
import { pruneChanges } from '../changes/record.js';
import type { RegressionGuard } from '../cluster/regression.js';
import type { TransactionTimes } from '../cluster/transaction-times.js';
import type { Readers } from '../locations/readers.js';
import type { Membership } from '../membership/membership.js';
import { reapUnlinked } from '../namespace/unlinked.js';
import type { TrashRules } from '../namespace/versions.js';
import type { FullReports } from '../registry/full-report.js';
import {
  forgetTrashed,
  giveUpChunks,
  isNeededAgain,
  isOfLiveChunk,
  takeSurplusBack,
} from '../registry/pieces.js';
import type { TaskBoard } from '../registry/task-board.js';
import { pruneRequests } from '../requests/requests.js';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { VersionsTable } from '../store/schema.js';
import { pressureOn } from '../trash/pressure.js';
import type { Trash } from '../trash/trash.js';
import { giveUpNextPage } from '../uploads/leftovers.js';

/** Rows that one step may touch: about 10 ms, and a pause for other calls after it. */
const stepSize = 500;
/** Of small files: each is several statements. */
const versionsPerStep = 50;
/** How often the trash may be shortened: what was given up last must have shown in the keepers' heartbeats, */
const makeRoomIntervalMs = 5_000;
/** and keepers that are still being told to trash pieces are waited for so long. */
const ordersPatienceMs = 30_000;
/** After the last of these orders until what they gave back shows: two heartbeats. */
const orderNewsMs = 2_000;
/**
 * How long a version that nobody reads stays although room is short: whoever asked for the path just before it was
 * given up has been answered by then, and is known to read it.
 */
export const lookUpMs = 1_000;

export interface ReclaimParts {
  readonly store: MetadataStore;
  readonly guard: RegressionGuard;
  readonly times: TransactionTimes;
  readonly membership: Membership;
  readonly tasks: TaskBoard;
  readonly reports: FullReports;
  readonly trash: Trash;
  readonly readers: Readers;
  readonly rules: TrashRules;
  /** Of an upload that asks for none. */
  readonly defaultPolicy: Policy;
  readonly defaultChunkSizeBytes: number;
  readonly graceMs: number;
  /** How long something that a keeper said may be under way: its lease, as a keeper waits no longer for an answer. */
  readonly wordLifetimeMs: number;
  /** After this a write token of a chunk that was given up is surely worthless. */
  readonly tokenLifetimeMs: number;
  readonly requestRetentionMs: number;
  readonly retainedRequests: number;
  readonly retainedLongRequests: number;
  readonly retainedChanges: number;
}

/** Where a look through the versions that were given up has come to, and what of those before may be read. */
interface Look {
  readonly transactionId: number;
  readonly version: number;
  readonly heldBytes: number;
}
const beginning: Look = { transactionId: 0, version: 0, heldBytes: 0 };

export class Reclaim {
  readonly #parts: ReclaimParts;
  /** Where the next look for garbage chunks without pieces begins. */
  #forgotten = { transactionId: 0, chunkId: '' };
  /** Goes on from step to step while room is short. */
  #look = beginning;
  /** Sizes of versions that were given up and may be read, as the last whole look has found them. */
  #heldBytes = 0;
  #madeRoomMs = -Infinity;
  #refused = false;
  #shortMs = -Infinity;
  /** When a keeper that is there last had pieces that it was to trash. */
  #orderedMs = -Infinity;

  constructor(parts: ReclaimParts) {
    this.#parts = parts;
  }

  /** There was no room for a chunk: the next step makes some, if there is any to be had. */
  noteRefused(): void {
    this.#refused = true;
  }

  /** True if what was deleted will give room back, sooner or later. */
  isRoomOnItsWay(): boolean {
    const { trashed_versions, retired_bytes } = this.#parts.store.counters;
    return trashed_versions > 0 || retired_bytes > 0 || this.#isWithin(makeRoomIntervalMs, this.#orderedMs);
  }

  #isWithin(ageMs: number, sinceMs: number): boolean {
    return this.#parts.rules.clock.monotonicMs() - sinceMs < ageMs;
  }

  /** A little of everything; true if there may be more to do at once. */
  async step(): Promise<boolean> {
    const { store, guard, times, rules, trash, membership } = this.#parts;
    times.mark(store.transactionId);
    rules.served.tick();
    // A keeper that is yet to be heard may have seen later metadata than this.
    if (guard.regressed || !membership.knowsWhoIsThere()) return false;
    await rules.served.note(store);
    const unlinked = await reapUnlinked(store, rules, stepSize);
    const expired = await trash.expire();
    await this.#makeRoom();
    const retired = await this.#dropRetired();
    const leftovers = await giveUpNextPage(store);
    await this.#orderTrash();
    const trashed = await this.#forgetTrashed();
    const forgotten = await this.#forgetChunks();
    const closed = await this.#forgetUploads();
    const pruned = await pruneRequests(store, {
      retained: this.#parts.retainedRequests,
      retainedLong: this.#parts.retainedLongRequests,
      beforeTransactionId: times.horizon(this.#parts.requestRetentionMs),
      limit: stepSize,
    });
    const retained = this.#parts.retainedChanges;
    const unlogged = await pruneChanges(store, { retained, limit: stepSize });
    const more = [unlinked, expired, retired, leftovers, trashed, forgotten, closed, pruned, unlogged];
    return more.includes(true);
  }

  /** Shortens the trash where keepers are short of room. */
  async #makeRoom(): Promise<void> {
    const { store, membership, trash, rules, defaultPolicy, defaultChunkSizeBytes } = this.#parts;
    const refused = this.#refused;
    this.#refused = false;
    const view = {
      keepers: membership.placementCandidates(),
      pieces: defaultPolicy.pieces,
      chunkSizeBytes: defaultChunkSizeBytes,
      retiredBytes: store.counters.retired_bytes,
      refused,
    };
    const { isShort, giveUpBytes } = pressureOn(view);
    const nowMs = rules.clock.monotonicMs();
    if (!isShort) {
      this.#look = beginning;
      this.#heldBytes = 0;
      return;
    }
    this.#shortMs = nowMs;
    await this.#lookOn();
    if (trash.summary.versions === 0) return;
    // Soon after the last time, what was given up then is still on its way.
    const isOrdered = this.#isWithin(orderNewsMs, this.#orderedMs);
    if (this.#isWithin(isOrdered ? ordersPatienceMs : makeRoomIntervalMs, this.#madeRoomMs)) return;
    // What is read gives its room back late; what nobody reads may do so in its place.
    const heldBytes = Math.max(this.#heldBytes, this.#look.heldBytes);
    const retiredBytes = Math.max(0, view.retiredBytes - heldBytes);
    const { giveUpBytes: unreadBytes } = pressureOn({ ...view, retiredBytes });
    if (unreadBytes === 0) return;
    if (await trash.shorten({ unreadBytes, bytes: giveUpBytes })) this.#madeRoomMs = nowMs;
  }

  /**
   * Looks at a page of the versions that were given up, and in the next step at the one behind it; but stays while there
   * are some on it that can be dropped, until they are.
   */
  async #lookOn(): Promise<void> {
    const { store, readers } = this.#parts;
    const page = await store.read((snapshot) => this.#pageLookedAt(snapshot));
    const held = page.filter((row) => readers.mayBeRead(row.version));
    const heldBytes = held.reduce((sum, row) => sum + row.size_bytes, this.#look.heldBytes);
    const last = page.length < stepSize ? undefined : page.at(-1);
    if (!last) this.#heldBytes = heldBytes;
    if (this.#unread(page).length > 0) return;
    this.#look = last
      ? { transactionId: last.retired_transaction_id ?? 0, version: last.version, heldBytes }
      : beginning;
  }

  #pageLookedAt(snapshot: MetadataSnapshot): Promise<RetiredVersion[]> {
    const { transactionId, version } = this.#look;
    return snapshot.run(retiredVersions, {
      transactionId,
      version,
      through: this.#parts.store.transactionId,
    });
  }

  /** Of versions whose grace is not over, those that can be dropped all the same where room is short. */
  #unread(page: readonly RetiredVersion[]): RetiredVersion[] {
    const { times, readers } = this.#parts;
    const through = times.horizon(lookUpMs);
    return page.filter(
      (row) => (row.retired_transaction_id ?? 0) <= through && !readers.mayBeRead(row.version),
    );
  }

  /**
   * Takes extents off retired versions whose grace is over; if there are none and room is short, off those that nobody
   * reads, of the page that is looked at. All those of small ones, a part of a big one's.
   */
  async #dropRetired(): Promise<boolean> {
    const { store, times, graceMs } = this.#parts;
    const overThrough = times.horizon(graceMs);
    const isShort = this.#isWithin(makeRoomIntervalMs, this.#shortMs);
    const find = async (snapshot: MetadataSnapshot): Promise<RetiredVersion[]> => {
      const all = { transactionId: 0, version: 0, through: overThrough };
      const over = await snapshot.run(retiredVersions, all);
      const due = over.length > 0 || !isShort ? over : this.#unread(await this.#pageLookedAt(snapshot));
      return due.slice(0, versionsPerStep);
    };
    if ((await store.read(find)).length === 0) return false;
    return store.mutate(async (tx) => {
      const versions = await find(tx);
      let left = stepSize;
      for (const { version } of versions) {
        if (left > 0) left -= await dropExtents(tx, version, left);
      }
      return versions.length > 0;
    });
  }

  /**
   * Tells each live keeper to trash tombstones, one task of bounded size at a time; none while it reports, as the
   * report would tell of pieces that are gone by the time it is read. A piece that was one too many is not trashed
   * once its chunk has lost others: it is taken back.
   */
  async #orderTrash(): Promise<void> {
    const { store, tasks, membership, reports } = this.#parts;
    // Before that, pieces count whose keepers may be gone for good.
    const mayTrim = membership.knowsWhoIsThere();
    const nowMs = this.#parts.rules.clock.monotonicMs();
    for (const keeperId of this.#settledKeepers()) {
      // What no heartbeat has carried yet is looked at again: by now others of a piece's chunk may be lost.
      if (!tasks.recallTrash(keeperId)) {
        this.#orderedMs = nowMs;
        await this.#repeatTrash(keeperId);
        continue;
      }
      const rows = await store.read((snapshot) => snapshot.run(garbageOf, { keeperId }));
      const needed = rows.filter((row) => row.needed).map((row) => row.chunk_id);
      if (mayTrim && needed.length > 0) {
        await store.mutate((tx) => takeSurplusBack(tx, keeperId, needed));
        reports.requireSince(keeperId, store.transactionId);
        continue;
      }
      const chunkIds = rows.filter((row) => mayTrim || !row.live).map((row) => row.chunk_id);
      if (chunkIds.length === 0) continue;
      this.#orderedMs = nowMs;
      tasks.post(keeperId, { kind: 'trash', chunkIds, transactionId: store.transactionId });
    }
  }

  /**
   * An order that may not have arrived goes out again, but not for pieces whose chunks have lost others since: each may
   * be the last one. Whether the first order got those shows when the keeper has answered.
   */
  async #repeatTrash(keeperId: string): Promise<void> {
    const { store, tasks } = this.#parts;
    const chunkIds = tasks.overdueTrash(keeperId);
    if (!chunkIds) return;
    const needed = new Set<string>();
    for (const page of batches(chunkIds)) {
      const rows = await store.read(({ db }) =>
        db
          .selectFrom('pieces')
          .select('chunk_id')
          .where('keeper_id', '=', keeperId)
          .where('chunk_id', 'in', page)
          .where(isNeededAgain)
          .execute(),
      );
      for (const row of rows) needed.add(row.chunk_id);
    }
    tasks.repeatTrash(
      keeperId,
      chunkIds.filter((chunkId) => !needed.has(chunkId)),
    );
  }

  /** The keepers that are live and have nothing more to say about the pieces that they had when they started. */
  #settledKeepers(): string[] {
    const { membership, reports } = this.#parts;
    return membership
      .list()
      .filter(({ keeperId, state, reported }) => state === 'live' && reported && !reports.isRunning(keeperId))
      .map(({ keeperId }) => keeperId);
  }

  /**
   * Forgets trashed pieces of live chunks once nothing that their keepers said before can arrive any more: a keeper
   * whose lease was renewed since has had all its earlier heartbeats answered, and reports are taken whole.
   */
  async #forgetTrashed(): Promise<boolean> {
    const { store, times, wordLifetimeMs } = this.#parts;
    const horizon = times.horizon(wordLifetimeMs);
    let more = false;
    for (const keeperId of this.#settledKeepers()) {
      const due = await store.read((snapshot) => snapshot.run(oneTrashed, { keeperId, horizon }));
      if (due.length === 0) continue;
      more = (await store.mutate((tx) => forgetTrashed(tx, keeperId, horizon, stepSize))) || more;
    }
    return more;
  }

  /**
   * Forgets garbage chunks that have no pieces and cannot get one any more. Looks at one page and goes on behind
   * it in the next step: the tombstones of a keeper that is away must not be looked through every second.
   */
  async #forgetChunks(): Promise<boolean> {
    const { store, times, tokenLifetimeMs } = this.#parts;
    const horizon = times.horizon(2 * tokenLifetimeMs);
    const from = this.#forgotten;
    const page = await store.read((snapshot) => snapshot.run(garbageChunks, { ...from, horizon }));
    const last = page.length < stepSize ? undefined : page.at(-1);
    this.#forgotten = { transactionId: last?.garbage_transaction_id ?? 0, chunkId: last?.chunk_id ?? '' };
    if (page.length === 0) return false;
    const chunkIds = page.map((row) => row.chunk_id);
    const holding = await store.read(({ db }) =>
      db.selectFrom('pieces').select('chunk_id').distinct().where('chunk_id', 'in', chunkIds).execute(),
    );
    if (holding.length === chunkIds.length) return false;
    await store.mutate((tx) => forgetEmpty(tx, chunkIds));
    return last !== undefined;
  }

  /** Forgets sessions that were closed so long ago that nobody asks for them. */
  async #forgetUploads(): Promise<boolean> {
    const { store, times, requestRetentionMs } = this.#parts;
    const horizon = times.horizon(requestRetentionMs);
    const find = (snapshot: MetadataSnapshot) => snapshot.run(closedUploads, { horizon });
    if ((await store.read(find)).length === 0) return false;
    return store.mutate(async (tx) => {
      const ids = (await find(tx)).map((row) => row.upload_id);
      if (ids.length > 0) await tx.db.deleteFrom('uploads').where('upload_id', 'in', ids).execute();
      return ids.length === stepSize;
    });
  }
}

// What is asked every second, mostly for nothing.

type RetiredVersion = Pick<VersionsTable, 'version' | 'size_bytes' | 'retired_transaction_id'>;

const retiredVersions = prepare(
  (db, { transactionId, version, through }: { transactionId: number; version: number; through: number }) =>
    db
      .selectFrom('versions')
      .select(['version', 'size_bytes', 'retired_transaction_id'])
      .where('retired_transaction_id', 'is not', null)
      .where((eb) =>
        eb(eb.refTuple('retired_transaction_id', 'version'), '>', eb.tuple(transactionId, version)),
      )
      .where('retired_transaction_id', '<=', through)
      .orderBy('retired_transaction_id')
      .orderBy('version')
      .limit(stepSize),
);

const garbageOf = prepare((db, { keeperId }: { keeperId: string }) =>
  db
    .selectFrom('pieces')
    .select(['chunk_id', isOfLiveChunk.as('live'), isNeededAgain.as('needed')])
    .where('keeper_id', '=', keeperId)
    .where('state', '=', 'garbage')
    .orderBy('chunk_id')
    .limit(limits.maxChunksPerTrashTask),
);

const oneTrashed = prepare((db, args: { keeperId: string; horizon: number }) =>
  db
    .selectFrom('pieces')
    .select('chunk_id')
    .where('keeper_id', '=', args.keeperId)
    .where('state', '=', 'trashed')
    .where('since_transaction_id', '<=', args.horizon)
    .limit(1),
);

const garbageChunks = prepare((db, args: { transactionId: number; chunkId: string; horizon: number }) =>
  db
    .selectFrom('chunks')
    .select(['chunk_id', 'garbage_transaction_id'])
    .where('garbage_transaction_id', '>=', args.transactionId)
    .where('garbage_transaction_id', '<=', args.horizon)
    .where((eb) =>
      eb.or([eb('garbage_transaction_id', '>', args.transactionId), eb('chunk_id', '>', args.chunkId)]),
    )
    .orderBy('garbage_transaction_id')
    .orderBy('chunk_id')
    .limit(stepSize),
);

const closedUploads = prepare((db, { horizon }: { horizon: number }) =>
  db
    .selectFrom('uploads')
    .select('upload_id')
    .where('state', 'in', ['committed', 'aborted'])
    .where('closed_transaction_id', '<=', horizon)
    // Or its chunks would belong to nothing.
    .where('given_up_through', 'is', null)
    .limit(stepSize),
);

/** Those of the garbage chunks that have no pieces go. */
async function forgetEmpty(tx: MetadataTransaction, chunkIds: readonly string[]): Promise<void> {
  await tx.db
    .deleteFrom('chunks')
    .where('chunk_id', 'in', chunkIds)
    .where('state', '=', 'garbage')
    .where('chunk_id', 'not in', (db) =>
      db.selectFrom('pieces').select('chunk_id').where('chunk_id', 'in', chunkIds),
    )
    .execute();
}

/**
 * Drops up to `limit` extents of a version, and the version itself once it has none; returns how many extents that
 * was. Unused chunks become garbage.
 */
async function dropExtents(tx: MetadataTransaction, version: number, limit: number): Promise<number> {
  const extents = await tx.db
    .selectFrom('extents')
    .select(['file_offset', 'chunk_id'])
    .where('version', '=', version)
    .orderBy('file_offset')
    .limit(limit)
    .execute();
  const last = extents.at(-1);
  if (last) {
    await tx.db
      .deleteFrom('extents')
      .where('version', '=', version)
      .where('file_offset', '<=', last.file_offset)
      .execute();
    const chunkIds = [...new Set(extents.map((extent) => extent.chunk_id))];
    // Not the extents themselves: a chunk that thousands of small files share has as many.
    const stillUsed = await tx.db
      .selectFrom('chunks')
      .select('chunk_id')
      .where('chunk_id', 'in', chunkIds)
      .where((eb) =>
        eb.exists(
          eb
            .selectFrom('extents')
            .select('extents.version')
            .whereRef('extents.chunk_id', '=', 'chunks.chunk_id'),
        ),
      )
      .execute();
    const used = new Set(stillUsed.map((row) => row.chunk_id));
    const unused = chunkIds.filter((chunkId) => !used.has(chunkId));
    await giveUpChunks(tx, unused);
    tx.count('chunks', -unused.length);
  }
  if (extents.length === limit) return extents.length;
  const { size_bytes } = await tx.db
    .deleteFrom('versions')
    .where('version', '=', version)
    .returning('size_bytes')
    .executeTakeFirstOrThrow();
  tx.count('retired_bytes', -size_bytes);
  return extents.length;
}
