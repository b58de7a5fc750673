/**
 * The counters that status shows against a recount. One statement a counter, in a read of its own: a count that was
 * put together from pages would be of no moment at all. About 0.1 s for a million rows, as long as status counts.
 */
import { sql } from 'kysely';
import { countTrees } from '../namespace/unlinked.js';
import type { Counters, MetadataSnapshot } from '../store/metadata-store.js';
import { rootId, unlinkedId } from '../store/schema.js';
import type { CheckFinding } from './finding.js';
import type { CheckedPage, Position } from './page.js';

type Db = MetadataSnapshot['db'];

/** What was deleted and is yet to be taken apart: its rows are there and do not count. */
function unlinked(db: Db) {
  return countTrees({ db }, 'parent_id', unlinkedId);
}

async function entriesOf(db: Db, type: 'file' | 'directory'): Promise<number> {
  const row = await db
    .selectFrom('entries')
    .select(({ fn }) => fn.countAll<number>().as('rows'))
    .where('type', '=', type)
    // The root counts as no directory.
    .where('entry_id', '!=', rootId)
    .executeTakeFirstOrThrow();
  return row.rows;
}

type Counted = Exclude<keyof Counters, 'last_version' | 'last_entry_id' | 'served_ms'>;

async function trashed(db: Db): Promise<{ versions: number; bytes: number }> {
  return db
    .selectFrom('trash')
    .select(({ fn }) => [
      fn.countAll<number>().as('versions'),
      fn.coalesce(fn.sum<number>('size_bytes'), sql<number>`0`).as('bytes'),
    ])
    .executeTakeFirstOrThrow();
}

const recounts: Readonly<Record<Counted, (db: Db) => Promise<number>>> = {
  files: async (db) => (await entriesOf(db, 'file')) - (await unlinked(db)).files,
  directories: async (db) => (await entriesOf(db, 'directory')) - (await unlinked(db)).directories,
  logical_bytes: async (db) => {
    const row = await db
      .selectFrom('versions')
      .select(({ fn }) => fn.coalesce(fn.sum<number>('size_bytes'), sql<number>`0`).as('bytes'))
      .where('retired_transaction_id', 'is', null)
      .executeTakeFirstOrThrow();
    return row.bytes - (await unlinked(db)).bytes - (await trashed(db)).bytes;
  },
  trashed_versions: async (db) => (await trashed(db)).versions,
  trashed_bytes: async (db) => (await trashed(db)).bytes,
  retired_bytes: async (db) => {
    const row = await db
      .selectFrom('versions')
      .select(({ fn }) => fn.coalesce(fn.sum<number>('size_bytes'), sql<number>`0`).as('bytes'))
      .where('retired_transaction_id', 'is not', null)
      .executeTakeFirstOrThrow();
    return row.bytes;
  },
  chunks: async (db) => {
    const rows = db.selectFrom('chunks').select(({ fn }) => fn.countAll<number>().as('rows'));
    return (await rows.where('state', '=', 'live').executeTakeFirstOrThrow()).rows;
  },
  open_uploads: async (db) => {
    const rows = db.selectFrom('uploads').select(({ fn }) => fn.countAll<number>().as('rows'));
    return (await rows.where('state', '=', 'open').executeTakeFirstOrThrow()).rows;
  },
  requests: async (db) => {
    const rows = db.selectFrom('requests').select(({ fn }) => fn.countAll<number>().as('rows'));
    return (await rows.executeTakeFirstOrThrow()).rows;
  },
};
const counters = Object.keys(recounts) as Counted[];

/** One counter. */
export async function checkCounts({ db }: MetadataSnapshot, at: Position): Promise<CheckedPage> {
  const index = Number(at[0] ?? 0);
  const counter = counters[index] ?? 'files';
  const kept = await db.selectFrom('cluster').select(counter).executeTakeFirstOrThrow();
  const counted = await recounts[counter](db);
  const findings: CheckFinding[] = [];
  if (kept[counter] !== counted) {
    const text = `the counter ${counter} says ${kept[counter]}, and there are ${counted}`;
    findings.push({ invariant: 'counts', subject: '', text });
  }
  return { findings, next: index + 1 < counters.length ? [index + 1] : undefined };
}
