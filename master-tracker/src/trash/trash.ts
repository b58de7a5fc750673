/**
 * The trash: what was deleted and replaced, restorable for a while.
 *
 * The failures it answers: a mistake that cannot be undone, and an undo that brings back half a file. A version in
 * the trash has all that it had: its extents, and live chunks that are repaired as any others. It is either
 * there, and then restored whole in one transaction, or it was given up, and then it never comes back (S6). Giving
 * up is no more than a mark: readers in progress still have the grace of reclamation.
 *
 * A tree that was deleted is taken apart in the background. Every question about paths in it first sees to it
 * that it is: an answer is about all that was deleted before the question.
 */
import { HoldfastError, limits } from '@holdfast/shared';
import type { RegressionGuard } from '../cluster/regression.js';
import type { EventLog } from '../events/event-log.js';
import type { Readers } from '../locations/readers.js';
import { describe } from '../namespace/describe.js';
import type { Entry } from '../namespace/entry.js';
import {
  type Names,
  checkExpected,
  child,
  ensureParent,
  isADirectory,
  pathOf,
} from '../namespace/resolve.js';
import { isBeingTakenApart, reapUnlinked } from '../namespace/unlinked.js';
import { type TrashRules, copyVersion, giveUpTrashed, showVersion } from '../namespace/versions.js';
import { once } from '../requests/requests.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { TrashTable } from '../store/schema.js';
import { type TrashPosition, countBelow, trashedBelow } from './listing.js';

/** Rows that one transaction may touch: about 10 ms. */
const stepSize = 500;
/** Half of what a message may hold, if all paths are as long as a path may be. */
const maxPageSize = Math.floor(limits.maxControlMessageBytes / 2 / (limits.maxPathBytes + 100));

export interface TrashParts {
  readonly store: MetadataStore;
  readonly guard: RegressionGuard;
  readonly events: EventLog;
  readonly rules: TrashRules;
  readonly readers: Readers;
}

/** A version that can be restored. */
interface TrashedVersion {
  readonly path: string;
  readonly version: number;
  readonly sizeBytes: number;
  /** By the tracker's wall clock, for display only. */
  readonly trashedAtUnixMs: number;
  readonly expiresInMs: number;
  readonly replaced: boolean;
}

export interface TrashPage {
  readonly versions: readonly TrashedVersion[];
  /** The position of the last one if there may be more, else undefined. */
  readonly next: TrashPosition | undefined;
}

export interface RestoreRequest {
  /** Where it was. */
  readonly names: Names;
  /** undefined: the one that left the path last. */
  readonly version: number | undefined;
  readonly destination: Names;
  /** 0: nothing; else a file at exactly this version, which goes to the trash. */
  readonly expectedVersion: number;
  readonly requestId: string;
}

/** How much there is, and its sizes in bytes. */
export interface TrashSummary {
  readonly versions: number;
  readonly bytes: number;
}

type TrashAge = Pick<TrashTable, 'left_served_ms' | 'version'>;
const oldest: TrashAge = { left_served_ms: 0, version: 0 };

export class Trash {
  readonly #parts: TrashParts;
  #reaping: Promise<boolean> | undefined;
  /** Behind which version the look goes on for some that room can be made of. */
  #shortening = oldest;

  constructor(parts: TrashParts) {
    this.#parts = parts;
  }

  /** What can be restored now. Costs nothing. */
  get summary(): TrashSummary {
    const { trashed_versions, trashed_bytes } = this.#parts.store.counters;
    return { versions: trashed_versions, bytes: trashed_bytes };
  }

  /** A page of what was at and below a path; see listing.ts for the order. */
  async list(names: Names, pageSize: number, from: TrashPosition | undefined): Promise<TrashPage> {
    const { store, rules } = this.#parts;
    const path = pathOf(names);
    if (!from) await this.#takeApart(path);
    const size = Math.min(pageSize, maxPageSize);
    const rows = await store.read((snapshot) => trashedBelow(snapshot, path, size + 1, { from }));
    const page = rows.slice(0, size);
    const last = rows.length > size ? page.at(-1) : undefined;
    return {
      versions: page.map((row) => ({
        path: row.path,
        version: row.version,
        sizeBytes: row.size_bytes,
        trashedAtUnixMs: row.left_at_unix_ms,
        expiresInMs: Math.max(0, row.left_served_ms + rules.retentionMs - rules.served.nowMs),
        replaced: row.replaced === 1,
      })),
      next: last && { path: last.path, leftTransactionId: last.left_transaction_id },
    };
  }

  /**
   * Shows what was at a path again, as a new version over the same chunks: there, or at another path.
   *
   * @throws HoldfastError NOT_FOUND, ALREADY_EXISTS, VERSION_CONFLICT, NOT_A_DIRECTORY, IS_A_DIRECTORY
   */
  async restore(request: RestoreRequest): Promise<Entry> {
    const { store, guard, rules } = this.#parts;
    guard.assertWritable();
    const { names, version, destination, expectedVersion, requestId } = request;
    const from = pathOf(names);
    const path = pathOf(destination);
    if (destination.length === 0) throw isADirectory(path);
    await this.#takeApart(from);
    const asked = ['RestoreEntry', from, version ?? 0, path, expectedVersion];
    return once(store, { requestId, asked }, async (tx) => {
      const row = await findTrashed(tx, from, version);
      if (!row) throw notInTrash(from, version);
      const nowUnixMs = rules.clock.wallMs();
      const parentId = await ensureParent(tx, destination, nowUnixMs);
      const name = destination.at(-1) ?? '';
      const shown = await child(tx, parentId, name);
      checkExpected(path, shown, expectedVersion);
      const restored = await copyVersion(tx, row.version, nowUnixMs);
      // Its readers have their grace, and its chunks another version that uses them.
      await giveUpTrashed(tx, [row]);
      const { size_bytes: sizeBytes } = row;
      await showVersion(tx, { version: restored, sizeBytes, parentId, path, name, shown }, rules);
      return describe(tx, destination);
    });
  }

  /**
   * Gives up what was at and below a path and left it before this call. A step of bounded size at a time: asked
   * again with the same request_id, it goes on where a crash or a deadline has ended it, and takes nothing newer.
   */
  async empty(names: Names, requestId: string): Promise<TrashSummary> {
    const { store, guard } = this.#parts;
    guard.assertWritable();
    const path = pathOf(names);
    await this.#takeApart(path);
    const { through, ...summary } = await once(
      store,
      { requestId, asked: ['EmptyTrash', path] },
      async (tx) => ({ through: tx.transactionId, ...(await countBelow(tx, path)) }),
    );
    const options = { throughTransactionId: through };
    while (await this.#giveUp((snapshot) => trashedBelow(snapshot, path, stepSize, options)));
    return summary;
  }

  /** Gives up what was in the trash for its time, a step of it; true if there may be more to do. */
  async expire(): Promise<boolean> {
    const { retentionMs, served } = this.#parts.rules;
    const deadlineMs = served.nowMs - retentionMs;
    return this.#giveUp((snapshot) => snapshot.run(expiredRows, { deadlineMs }));
  }

  /**
   * Gives up the oldest before their time, of a step at most: those that nobody reads until they have `unreadBytes`, and
   * then those that may be read, whose room comes back later, until all have `bytes`. Where `bytes` is 0, because enough was
   * given up that may be read, it looks for the others page by page.
   *
   * @returns false if there was nothing to be given up on a page, and the next call looks at the one behind it
   */
  async shorten(needed: { readonly unreadBytes: number; readonly bytes: number }): Promise<boolean> {
    const { readers } = this.#parts;
    if (needed.bytes > 0) this.#shortening = oldest;
    const from = this.#shortening;
    let next: TrashAge | undefined;
    const find = async (snapshot: MetadataSnapshot): Promise<TrashTable[]> => {
      const page = await snapshot.run(trashedPage, from);
      next = page.length < stepSize ? undefined : page.at(-1);
      const isRead = ({ version }: TrashTable): boolean => readers.mayBeRead(version);
      let bytes = 0;
      return page
        .sort((a, b) => Number(isRead(a)) - Number(isRead(b)))
        .filter((row) => {
          if (bytes >= (isRead(row) ? needed.bytes : needed.unreadBytes)) return false;
          bytes += row.size_bytes;
          return true;
        });
    };
    const found = await this.#giveUp(find, async (tx, rows) => {
      const bytes = rows.reduce((sum, row) => sum + row.size_bytes, 0);
      const text =
        `keepers are short of room: ${rows.length} versions in the trash, ${bytes} bytes, ` +
        'cannot be restored any more (the oldest that nobody reads first)';
      await this.#parts.events.record(tx, { kind: 'trash-shortened', subject: '', text });
    });
    if (found) return true;
    this.#shortening = next ?? oldest;
    return next === undefined;
  }

  /** Gives up what `find` finds, in one transaction; true if it found anything. */
  async #giveUp(
    find: (snapshot: MetadataSnapshot) => Promise<TrashTable[]>,
    alongside: (tx: MetadataTransaction, rows: readonly TrashTable[]) => Promise<void> = async () =>
      Promise.resolve(),
  ): Promise<boolean> {
    const { store } = this.#parts;
    if (store.counters.trashed_versions === 0) return false;
    if ((await store.read(find)).length === 0) return false;
    return store.mutate(async (tx) => {
      const rows = await find(tx);
      await giveUpTrashed(tx, rows);
      if (rows.length > 0) await alongside(tx, rows);
      return rows.length > 0;
    });
  }

  /** Sees to it that what was deleted at, above and below a path before this call is in the trash, file by file. */
  async #takeApart(path: string): Promise<void> {
    const { store, guard } = this.#parts;
    // Metadata that is behind is left as it is: then only what was taken apart before is found.
    if (guard.regressed) return;
    const through = store.transactionId;
    while (
      (await store.read((snapshot) => isBeingTakenApart(snapshot, path, through))) &&
      (await this.#reap())
    );
  }

  /** A step that all share who wait: a tree is not taken apart faster by many, and others want their turn. */
  #reap(): Promise<boolean> {
    const { store, rules } = this.#parts;
    this.#reaping ??= reapUnlinked(store, rules, stepSize).finally(() => (this.#reaping = undefined));
    return this.#reaping;
  }
}

const expiredRows = prepare((db, { deadlineMs }: { deadlineMs: number }) =>
  db
    .selectFrom('trash')
    .selectAll()
    .where('left_served_ms', '<=', deadlineMs)
    .orderBy('left_served_ms')
    .orderBy('version')
    .limit(stepSize),
);

const trashedPage = prepare((db, { left_served_ms: leftServedMs, version }: TrashAge) =>
  db
    .selectFrom('trash')
    .selectAll()
    .where((eb) => eb(eb.refTuple('left_served_ms', 'version'), '>', eb.tuple(leftServedMs, version)))
    .orderBy('left_served_ms')
    .orderBy('version')
    .limit(stepSize),
);

async function findTrashed(
  { db }: MetadataSnapshot,
  path: string,
  version: number | undefined,
): Promise<TrashTable | undefined> {
  const there = db.selectFrom('trash').selectAll().where('path', '=', path);
  const row = await (version === undefined ? there : there.where('version', '=', version))
    .orderBy('left_transaction_id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row;
}

function notInTrash(path: string, version: number | undefined): HoldfastError {
  const what = version === undefined ? path : `version ${version} of ${path}`;
  return new HoldfastError('NOT_FOUND', `${what} is not in the trash`, {
    remedy: 'List what can be restored (client trash ls). What was given up does not come back.',
    facts: { path, ...(version !== undefined && { version }) },
  });
}
