/** One page of a check: a read of bounded size, all of one moment. */
import { pathOf } from '../namespace/resolve.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';
import { rootId } from '../store/schema.js';
import type { CheckFinding } from './finding.js';

/** Where a page begins: behind the row with this key; [] at the start. Survives JSON. */
export type Position = readonly (string | number)[];

/** What a page saw, for the progress. */
export interface CheckTally {
  readonly chunks: number;
  /** Live chunks with fewer pieces than their policy asks for that wait for their copies. */
  readonly incomplete: number;
  readonly pieces: number;
  readonly confirmed: number;
}

export interface CheckedPage {
  readonly findings: readonly CheckFinding[];
  /** undefined when there is no more. */
  readonly next: Position | undefined;
  readonly tally?: Partial<CheckTally>;
}

/** What the pages of a check are told beside the metadata. */
export interface CheckContext {
  /** Keepers that have told anew what they have. */
  readonly reported: ReadonlySet<string>;
}

export type PageCheck = (
  snapshot: MetadataSnapshot,
  at: Position,
  context: CheckContext,
) => Promise<CheckedPage>;

/** Rows a page: about 10 ms of looking. */
export const pageSize = 1_000;

/** More than the longest path has components. */
const maxDepth = 4_096;

/** The path of an entry, as far up as it leads. */
export async function pathOfEntry({ db }: MetadataSnapshot, entryId: number): Promise<string> {
  const names: string[] = [];
  for (let at = entryId; at !== rootId && names.length < maxDepth;) {
    const row = await db
      .selectFrom('entries')
      .select(['parent_id', 'name'])
      .where('entry_id', '=', at)
      .executeTakeFirst();
    if (!row) return `…${pathOf(names)}`;
    names.unshift(row.name);
    at = row.parent_id;
  }
  return pathOf(names);
}

/** A path that shows one of the versions; undefined if none does. Looks through all entries: for findings only. */
export async function pathShowing(
  snapshot: MetadataSnapshot,
  versions: readonly number[],
): Promise<string | undefined> {
  if (versions.length === 0) return undefined;
  const entry = await snapshot.db
    .selectFrom('entries')
    .select('entry_id')
    .where('version', 'in', versions)
    .limit(1)
    .executeTakeFirst();
  return entry && pathOfEntry(snapshot, entry.entry_id);
}
