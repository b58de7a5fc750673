/** The namespace: every entry hangs in the tree, and every file shows a version that is there and not retired. */
import type { MetadataSnapshot } from '../store/metadata-store.js';
import { rootId, unlinkedId } from '../store/schema.js';
import type { CheckFinding } from './finding.js';
import { type CheckedPage, type Position, pageSize, pathOfEntry } from './page.js';

export async function checkEntries(snapshot: MetadataSnapshot, at: Position): Promise<CheckedPage> {
  const rows = await snapshot.db
    .selectFrom('entries')
    .leftJoin('entries as parent', 'parent.entry_id', 'entries.parent_id')
    .leftJoin('versions', 'versions.version', 'entries.version')
    .select([
      'entries.entry_id',
      'entries.parent_id',
      'entries.type',
      'entries.version',
      'parent.type as parentType',
      'versions.version as found',
      'retired_transaction_id',
    ])
    .where('entries.entry_id', '>', Number(at[0] ?? 0))
    .orderBy('entries.entry_id')
    .limit(pageSize)
    .execute();
  const findings: CheckFinding[] = [];
  const add = async (entryId: number, invariant: 'S1' | 'S2', text: string): Promise<void> => {
    findings.push({ invariant, subject: await pathOfEntry(snapshot, entryId), text });
  };
  const adrift = await adriftAmong(
    snapshot,
    rows.filter((row) => row.type === 'directory').map((row) => row.entry_id),
  );
  for (const row of rows) {
    const { entry_id } = row;
    if (row.parent_id !== unlinkedId && row.parentType === null) {
      await add(entry_id, 'S2', 'its directory does not exist, so no path leads to it');
    } else if (row.parent_id !== unlinkedId && row.parentType === 'file') {
      await add(entry_id, 'S2', 'what should be its directory is a file');
    } else if (adrift.has(entry_id)) {
      await add(entry_id, 'S2', 'the directories above it do not lead to the root');
    }
    if (row.type !== 'file') continue;
    if (row.found === null)
      await add(entry_id, 'S1', `version ${row.version}, which it shows, does not exist`);
    else if (row.retired_transaction_id !== null) {
      await add(entry_id, 'S2', `version ${row.version}, which it shows, was given up`);
    }
  }
  const last = rows.length < pageSize ? undefined : rows.at(-1);
  return { findings, next: last && [last.entry_id] };
}

/** Those of the directories from which no way leads up to the root, or to what is being taken apart. */
async function adriftAmong(
  { db }: MetadataSnapshot,
  entryIds: readonly number[],
): Promise<ReadonlySet<number>> {
  if (entryIds.length === 0) return new Set();
  const rows = await db
    .withRecursive('up', (from) =>
      from
        .selectFrom('entries')
        .select(['entry_id', 'parent_id'])
        .where('entry_id', 'in', entryIds)
        // Not unionAll: what directories share is walked once, and a circle ends where it has been before.
        .union((union) =>
          union
            .selectFrom('up')
            .innerJoin('entries', 'entries.entry_id', 'up.parent_id')
            .select(['entries.entry_id', 'entries.parent_id'])
            .where('up.parent_id', 'not in', [rootId, unlinkedId]),
        ),
    )
    .selectFrom('up')
    .select(['entry_id', 'parent_id'])
    .execute();
  const parents = new Map(rows.map((row) => [row.entry_id, row.parent_id]));
  const arrives = new Map([
    [rootId, true],
    [unlinkedId, true],
  ]);
  for (const entryId of entryIds) {
    const way = new Set<number>();
    let at: number | undefined = entryId;
    while (at !== undefined && !arrives.has(at) && !way.has(at)) {
      way.add(at);
      at = parents.get(at);
    }
    const isFine = at !== undefined && arrives.get(at) === true;
    for (const each of way) arrives.set(each, isFine);
  }
  return new Set(entryIds.filter((entryId) => arrives.get(entryId) !== true));
}
