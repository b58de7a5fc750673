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
  // The log has no gap, so its first number and its length say what its last one is.
  last_change_id: async (db) => {
    const row = await db
      .selectFrom('changes')
      .select(sql<number>`coalesce(min(change_id) + count(*) - 1, 0)`.as('last'))
      .executeTakeFirstOrThrow();
    return row.last;
  },
};
const counters = Object.keys(recounts) as Counted[];

/** One counter; then the pieces of one keeper; then the repair queue. */
export async function checkCounts(snapshot: MetadataSnapshot, at: Position): Promise<CheckedPage> {
  const [index = 0] = at;
  if (typeof index === 'string') return checkPiecesOf(snapshot, index);
  const counter = counters[index];
  if (counter === undefined) return checkQueued(snapshot);
  const kept = await snapshot.db.selectFrom('cluster').select(counter).executeTakeFirstOrThrow();
  const counted = await recounts[counter](snapshot.db);
  return { findings: differences(counter, kept[counter], counted), next: [index + 1] };
}

function differences(counter: string, kept: number, counted: number, subject = ''): CheckFinding[] {
  if (kept === counted) return [];
  const text = `the counter ${counter} says ${kept}, and there are ${counted}`;
  return [{ invariant: 'counts', subject, text }];
}

/** The chunks that wait for copies, and after them the keepers one by one. */
async function checkQueued({ db }: MetadataSnapshot): Promise<CheckedPage> {
  const sum = sql<number>`coalesce(sum(chunks), 0)`;
  const kept = await db.selectFrom('queue_counts').select(sum.as('chunks')).executeTakeFirstOrThrow();
  const counted = await db
    .selectFrom('repair_queue')
    .select(({ fn }) => fn.countAll<number>().as('chunks'))
    .where('below_policy', '=', 1)
    .executeTakeFirstOrThrow();
  return { findings: differences('queue_counts', kept.chunks, counted.chunks), next: [''] };
}

/** The pieces of the first keeper behind `after`, by their states. */
async function checkPiecesOf({ db }: MetadataSnapshot, after: string): Promise<CheckedPage> {
  const keeper = await db
    .selectFrom('keepers')
    .select('keeper_id')
    .where('keeper_id', '>', after)
    .orderBy('keeper_id')
    .limit(1)
    .executeTakeFirst();
  if (!keeper) return { findings: [], next: undefined };
  const { keeper_id: keeperId } = keeper;
  const kept = await db
    .selectFrom('piece_counts')
    .select(['state', 'pieces'])
    .where('keeper_id', '=', keeperId)
    .where('pieces', '!=', 0)
    .execute();
  const counted = await db
    .selectFrom('pieces')
    .select(({ fn }) => ['state', fn.countAll<number>().as('pieces')])
    .where('keeper_id', '=', keeperId)
    .groupBy('state')
    .execute();
  const of = (rows: typeof kept, state: string): number =>
    rows.find((row) => row.state === state)?.pieces ?? 0;
  const states = new Set([...kept, ...counted].map(({ state }) => state));
  const findings = [...states].flatMap((state) =>
    differences(`piece_counts of ${state} pieces`, of(kept, state), of(counted, state), keeperId),
  );
  return { findings, next: [keeperId] };
}
