/**
 * The trash by path: what was at and below a path, in byte order of the paths and from the version that left each
 * one last. Paths are compared by components ("/a" is not "/ab"), and every question is one or two index ranges.
 */
import type { MetadataSnapshot } from '../store/metadata-store.js';
import type { TrashTable } from '../store/schema.js';

/** Where in the order a row stands. No two rows have the same: a path is left once in a transaction. */
export interface TrashPosition {
  readonly path: string;
  readonly leftTransactionId: number;
}

/** A run of the index: one path, or all between two (neither of them included). */
type Range =
  | { readonly path: string; readonly leftBefore: number }
  | { readonly after: string; readonly before: string };

/** What was at and below `path`, behind a position. Byte order puts "/a b" between "/a" and "/a/b": so two runs. */
function rangesOf(path: string, from: TrashPosition | undefined): readonly [Range, Range] {
  const prefix = path === '/' ? '' : path;
  // '0' is the byte after '/': all that begins with the path and a '/'.
  const before = `${prefix}0`;
  if (!from)
    return [
      { path: prefix, leftBefore: Infinity },
      { after: `${prefix}/`, before },
    ];
  const rest: Range = { path: from.path, leftBefore: from.leftTransactionId };
  return [rest, { after: from.path === prefix ? `${prefix}/` : from.path, before }];
}

function inRange({ db }: Pick<MetadataSnapshot, 'db'>, range: Range) {
  const all = db.selectFrom('trash');
  if ('after' in range) return all.where('path', '>', range.after).where('path', '<', range.before);
  const left = Math.min(range.leftBefore, Number.MAX_SAFE_INTEGER);
  return all.where('path', '=', range.path).where('left_transaction_id', '<', left);
}

/** Up to `limit` rows behind a position, of what left up to a transaction. */
export async function trashedBelow(
  snapshot: Pick<MetadataSnapshot, 'db'>,
  path: string,
  limit: number,
  options: { from?: TrashPosition | undefined; throughTransactionId?: number } = {},
): Promise<TrashTable[]> {
  const { from, throughTransactionId = Number.MAX_SAFE_INTEGER } = options;
  const rows: TrashTable[] = [];
  for (const range of rangesOf(path, from)) {
    if (rows.length === limit) break;
    const more = await inRange(snapshot, range)
      .selectAll()
      .where('left_transaction_id', '<=', throughTransactionId)
      .orderBy('path')
      .orderBy('left_transaction_id', 'desc')
      .limit(limit - rows.length)
      .execute();
    rows.push(...more);
  }
  return rows;
}

/** How many versions are at and below a path, and their sizes: one scan of the index, about 0.2 µs for each. */
export async function countBelow(
  snapshot: Pick<MetadataSnapshot, 'db'>,
  path: string,
): Promise<{ versions: number; bytes: number }> {
  let [versions, bytes] = [0, 0];
  for (const range of rangesOf(path, undefined)) {
    const sums = await inRange(snapshot, range)
      .select(({ fn }) => [
        fn.countAll<number>().as('versions'),
        fn.sum<number | null>('size_bytes').as('bytes'),
      ])
      .executeTakeFirstOrThrow();
    versions += sums.versions;
    bytes += sums.bytes ?? 0;
  }
  return { versions, bytes };
}
