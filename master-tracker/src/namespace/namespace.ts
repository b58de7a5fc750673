/**
 * The namespace: entries by absolute path, in a tree of (parent, name) rows, so that a whole directory moves by
 * changing one.
 *
 * The promise: every mutation is one transaction and happens once for a request_id; a listing is in byte order
 * and every page of it is an index range, however large the directory.
 */
import { HoldfastError, joinPath, limits } from '@holdfast/shared';
import { recordChange } from '../changes/record.js';
import type { RegressionGuard } from '../cluster/regression.js';
import { once } from '../requests/requests.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { contentColumns, describe, toEntry } from './describe.js';
import { durabilityOf } from './durability.js';
import type { Entry, EntryPage } from './entry.js';
import {
  type EntryRow,
  type Names,
  alreadyExists,
  checkExpected,
  child,
  ensureParent,
  insertEntry,
  isADirectory,
  isEmptyDirectory,
  notADirectory,
  pathOf,
  resolve,
  resolveParent,
} from './resolve.js';
import { unlinkTree } from './unlinked.js';
import { type TrashRules, copyVersion, removeEntry, showVersion, sizeOf } from './versions.js';

export interface NamespaceParts {
  readonly store: MetadataStore;
  readonly guard: RegressionGuard;
  readonly rules: TrashRules;
  /** Called after something was deleted that is to be taken apart in the background. */
  readonly onUnlinked: () => void;
}

/** Half of what a message may hold, for the names of one page. */
const maxPageBytes = limits.maxControlMessageBytes / 2;
/** A listed entry without its path: numbers, policy, digest, framing. */
const entryOverheadBytes = 190;

export class Namespace {
  readonly #parts: NamespaceParts;

  constructor(parts: NamespaceParts) {
    this.#parts = parts;
  }

  /** @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY */
  async getEntry(names: Names): Promise<Entry> {
    const { store } = this.#parts;
    const entry = await store.read((snapshot) => describe(snapshot, names));
    if (!entry.policy) return entry;
    return { ...entry, durability: await durabilityOf(store, entry.version, entry.policy.pieces) };
  }

  /**
   * A page of a directory in byte order of the names, after the name `after` ('' for the start).
   *
   * @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY
   */
  async listEntries(names: Names, pageSize: number, after: string): Promise<EntryPage> {
    const path = pathOf(names);
    const longestBytes = Buffer.byteLength(path) + limits.maxNameBytes + entryOverheadBytes;
    const size = Math.min(pageSize, Math.floor(maxPageBytes / longestBytes));
    const rows = await this.#parts.store.read(async (snapshot) => {
      const directory = await resolve(snapshot, names);
      if (directory.type !== 'directory') throw notADirectory(path);
      return (
        snapshot.db
          .selectFrom('entries')
          .leftJoin('versions', 'versions.version', 'entries.version')
          .selectAll('entries')
          .select(contentColumns)
          .where('parent_id', '=', directory.entry_id)
          // The root, which is its own parent, has the name ''.
          .where('name', '>', after)
          .orderBy('name')
          .limit(size + 1)
          .execute()
      );
    });
    const page = rows.slice(0, size);
    const entries = page.map((row) => toEntry(joinPath(path, row.name), row, row));
    return { entries, nextAfterName: rows.length > size ? page.at(-1)?.name : undefined };
  }

  /** @throws HoldfastError ALREADY_EXISTS, NOT_FOUND (no parent), NOT_A_DIRECTORY */
  createDirectory(names: Names, parents: boolean, requestId: string): Promise<Entry> {
    const path = pathOf(names);
    return this.#once(requestId, ['CreateDirectory', path, parents], async (tx, nowUnixMs) => {
      const known = await resolve(tx, names).catch((error: unknown) => {
        if (HoldfastError.is(error) && error.code === 'NOT_FOUND') return undefined;
        throw error;
      });
      if (known && (!parents || known.type === 'file')) throw alreadyExists(path);
      if (known) return toEntry(path, known, undefined);
      const parentId = parents ? await ensureParent(tx, names, nowUnixMs) : await resolveParent(tx, names);
      const name = names.at(-1) ?? '';
      const made = await insertEntry(tx, { parentId, path, name, type: 'directory', nowUnixMs });
      return toEntry(path, made, undefined);
    });
  }

  /**
   * Renames a file or a directory with all that is below it.
   *
   * @throws HoldfastError NOT_FOUND, ALREADY_EXISTS, NOT_EMPTY, NOT_A_DIRECTORY, IS_A_DIRECTORY,
   *   VERSION_CONFLICT, INVALID_ARGUMENT
   */
  moveEntry(
    source: Names,
    destination: Names,
    expectedVersion: number | undefined,
    requestId: string,
  ): Promise<Entry> {
    const from = pathOf(source);
    const to = pathOf(destination);
    if (source.length === 0) throw new HoldfastError('INVALID_ARGUMENT', 'the root cannot be moved');
    if (destination.length > source.length && to.startsWith(`${from}/`)) {
      throw new HoldfastError('INVALID_ARGUMENT', `${from} cannot be moved into itself (${to})`);
    }
    return this.#once(requestId, ['MoveEntry', from, to, expectedVersion], async (tx, nowUnixMs) => {
      const moving = await resolve(tx, source);
      const replaced = await this.#makeWay(tx, moving, destination, expectedVersion);
      if (replaced?.entry_id !== moving.entry_id) {
        const parentId = await resolveParent(tx, destination);
        await tx.db
          .updateTable('entries')
          .set({ parent_id: parentId, name: destination.at(-1) ?? '' })
          .where('entry_id', '=', moving.entry_id)
          .execute();
        await recordChange(tx, { kind: 'moved', path: to, oldPath: from, entry: moving, nowUnixMs });
      }
      return describe(tx, destination);
    });
  }

  /**
   * Shows a file's bytes at a second path: a new version over the same chunks, with the same policy and attributes.
   * No byte moves, however long the file is. What becomes of one of the two does not touch the other.
   *
   * @throws HoldfastError NOT_FOUND, ALREADY_EXISTS, NOT_A_DIRECTORY, IS_A_DIRECTORY, VERSION_CONFLICT
   */
  copyEntry(
    source: Names,
    destination: Names,
    expectedVersion: number | undefined,
    requestId: string,
  ): Promise<Entry> {
    const from = pathOf(source);
    const path = pathOf(destination);
    if (destination.length === 0) throw isADirectory(path);
    return this.#once(requestId, ['CopyEntry', from, path, expectedVersion], async (tx, nowUnixMs) => {
      const copied = await resolve(tx, source);
      if (copied.type === 'directory') throw isADirectory(from);
      const parentId = await resolveParent(tx, destination);
      const name = destination.at(-1) ?? '';
      const shown = await child(tx, parentId, name);
      checkExpected(path, shown, expectedVersion);
      const sizeBytes = await sizeOf(tx, copied.version);
      const version = await copyVersion(tx, copied.version, nowUnixMs);
      await showVersion(tx, { version, sizeBytes, parentId, path, name, shown }, this.#parts.rules);
      return describe(tx, destination);
    });
  }

  /** Removes what a move replaces, after checking that it may; returns what was there. */
  async #makeWay(
    tx: MetadataTransaction,
    moving: EntryRow,
    destination: Names,
    expectedVersion: number | undefined,
  ): Promise<EntryRow | undefined> {
    const path = pathOf(destination);
    if (destination.length === 0) throw alreadyExists(path);
    const target = await child(tx, await resolveParent(tx, destination), destination.at(-1) ?? '');
    if (target?.type !== 'directory') checkExpected(path, target, expectedVersion);
    else if (expectedVersion !== undefined) checkExpected(path, target, expectedVersion);
    if (!target || target.entry_id === moving.entry_id) return target;
    if (moving.type === 'directory' && target.type === 'file') throw notADirectory(path);
    if (moving.type === 'file' && target.type === 'directory') throw isADirectory(path);
    if (target.type === 'directory' && !(await isEmptyDirectory(tx, target.entry_id))) throw notEmpty(path);
    await removeEntry(tx, target, { path, replaced: true }, this.#parts.rules);
    return target;
  }

  /**
   * Removes an entry; a directory with all that is below it if `recursive`. Returns how many entries went.
   *
   * @throws HoldfastError NOT_FOUND, NOT_EMPTY, VERSION_CONFLICT, INVALID_ARGUMENT
   */
  async deleteEntry(
    names: Names,
    recursive: boolean,
    expectedVersion: number | undefined,
    requestId: string,
  ): Promise<number> {
    const path = pathOf(names);
    if (names.length === 0) throw new HoldfastError('INVALID_ARGUMENT', 'the root cannot be deleted');
    const asked = ['DeleteEntry', path, recursive, expectedVersion];
    const deleted = await this.#once(requestId, asked, async (tx, nowUnixMs) => {
      const entry = await resolve(tx, names);
      if (expectedVersion !== undefined && entry.type === 'directory') throw isADirectory(path);
      // 0 is no version that a file can have: whoever expects nothing finds something.
      if (expectedVersion !== undefined && entry.version !== expectedVersion) {
        throw new HoldfastError('VERSION_CONFLICT', `${path} is at version ${entry.version}`, {
          facts: { path, version: entry.version },
        });
      }
      await recordChange(tx, { kind: 'removed', path, entry, nowUnixMs });
      if (entry.type === 'file' || (await isEmptyDirectory(tx, entry.entry_id))) {
        await removeEntry(tx, entry, { path, replaced: false }, this.#parts.rules);
        return 1;
      }
      if (!recursive) throw notEmpty(path);
      return unlinkTree(tx, entry, path, this.#parts.rules);
    });
    this.#parts.onUnlinked();
    return deleted;
  }

  #once<T>(
    requestId: string,
    asked: readonly unknown[],
    effect: (tx: MetadataTransaction, nowUnixMs: number) => Promise<T>,
  ): Promise<T> {
    const { store, guard, rules } = this.#parts;
    guard.assertWritable();
    return once(store, { requestId, asked }, (tx) => effect(tx, rules.clock.wallMs()));
  }
}

function notEmpty(path: string): HoldfastError {
  return new HoldfastError('NOT_EMPTY', `${path} is not empty`, {
    remedy: 'Empty the directory first, or delete it with all that is below it.',
    facts: { path },
  });
}
