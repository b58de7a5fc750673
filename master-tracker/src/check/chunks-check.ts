/**
 * Chunks and their pieces: what is live can be read, has its bytes written down and is used; what lacks copies waits
 * for them; what was given up is used by nothing.
 */
import { notLookedAt } from '../registry/keeper-changes.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';
import type { CheckFinding } from './finding.js';
import { type CheckContext, type CheckedPage, type Position, pageSize, pathShowing } from './page.js';

export async function checkChunks(snapshot: MetadataSnapshot, at: Position): Promise<CheckedPage> {
  const { db } = snapshot;
  const rows = await db
    .selectFrom('chunks')
    .leftJoin('uploads', 'uploads.upload_id', 'chunks.upload_id')
    .leftJoin('repair_queue', 'repair_queue.chunk_id', 'chunks.chunk_id')
    .select(['chunks.chunk_id', 'chunks.state', 'length', 'digest', 'chunks.pieces'])
    .select(['uploads.state as uploadState', 'given_up_through as givenUpThrough'])
    .select(['repair_queue.chunk_id as queued'])
    .select((eb) =>
      eb
        .selectFrom('extents')
        .select('extents.version')
        .whereRef('extents.chunk_id', '=', 'chunks.chunk_id')
        .limit(1)
        .as('usedBy'),
    )
    .where('chunks.chunk_id', '>', String(at[0] ?? ''))
    .orderBy('chunks.chunk_id')
    .limit(pageSize)
    .execute();
  const chunkIds = rows.map((row) => row.chunk_id);
  const standing = await standingOf(snapshot, chunkIds);
  const joining = await notLookedAt(snapshot, chunkIds);
  const findings: CheckFinding[] = [];
  let chunks = 0;
  let incomplete = 0;
  for (const row of rows) {
    const subject = row.chunk_id;
    const add = (invariant: CheckFinding['invariant'], text: string): void => {
      findings.push({ invariant, subject, text });
    };
    if (row.state === 'garbage' && row.usedBy !== null) {
      add('S5', `it was given up and is to be removed, and version ${row.usedBy} uses it`);
    }
    const isGivenUpSoon = row.givenUpThrough !== null && row.givenUpThrough < subject;
    const isUnused = row.state === 'allocated' || row.state === 'sealed';
    if (isUnused && row.uploadState !== 'open' && !isGivenUpSoon) {
      add('S10', 'it belongs to an upload that is over, and nothing will give it up');
    }
    if (row.state !== 'live') continue;
    chunks += 1;
    if (row.length === null || row.digest === null)
      add('S4', 'it is used, and its bytes are not written down');
    if (row.usedBy === null) add('S10', 'it takes room, and no version uses it');
    const { counted, durable } = standing.get(subject) ?? { counted: 0, durable: 0 };
    if (counted === 0) {
      const path = await pathShowing(snapshot, await versionsOf(snapshot, subject));
      const where = durable === 0 ? 'no keeper has it' : `the ${durable} keepers that have it are gone`;
      add('S1', `it cannot be read: ${where}${path === undefined ? '' : `; ${path} uses it`}`);
    }
    if (counted >= row.pieces) continue;
    if (row.queued === null && !joining.has(subject))
      add('repair', `it has ${counted} of ${row.pieces} copies and is not in the queue`);
    else incomplete += 1;
  }
  const last = rows.length < pageSize ? undefined : rows.at(-1);
  return { findings, next: last && [last.chunk_id], tally: { chunks, incomplete } };
}

/** Of some that use a chunk which cannot be read, one is named: thousands of small files may share it. */
const maxVersionsLookedAt = 500;

async function versionsOf({ db }: MetadataSnapshot, chunkId: string): Promise<number[]> {
  const rows = await db
    .selectFrom('extents')
    .select('version')
    .where('chunk_id', '=', chunkId)
    .limit(maxVersionsLookedAt)
    .execute();
  return [...new Set(rows.map((row) => row.version))];
}

/** Durable pieces of each chunk, and those of them on keepers that are not dead. */
async function standingOf({ db }: MetadataSnapshot, chunkIds: readonly string[]) {
  if (chunkIds.length === 0) return new Map<string, { counted: number; durable: number }>();
  const rows = await db
    .selectFrom('pieces')
    .leftJoin('keepers', (join) =>
      join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
    )
    .select(({ fn }) => [
      'chunk_id',
      fn.countAll<number>().as('durable'),
      fn.count<number>('keepers.keeper_id').as('counted'),
    ])
    .where('chunk_id', 'in', chunkIds)
    .where('pieces.state', '=', 'durable')
    .groupBy('chunk_id')
    .execute();
  return new Map(rows.map(({ chunk_id, ...counts }) => [chunk_id, counts]));
}

/** The metadata's pieces: of chunks and on keepers that are known. */
export async function checkPieces(
  { db }: MetadataSnapshot,
  at: Position,
  { reported }: CheckContext,
): Promise<CheckedPage> {
  const [chunkId = '', keeperId = ''] = at.map(String);
  const rows = await db
    .selectFrom('pieces')
    .leftJoin('chunks', 'chunks.chunk_id', 'pieces.chunk_id')
    .leftJoin('keepers', 'keepers.keeper_id', 'pieces.keeper_id')
    .select(['pieces.chunk_id', 'pieces.keeper_id', 'pieces.state', 'chunks.state as chunkState'])
    .select('keepers.keeper_id as knownKeeper')
    .where('pieces.chunk_id', '>=', chunkId)
    .where((eb) => eb.or([eb('pieces.chunk_id', '>', chunkId), eb('pieces.keeper_id', '>', keeperId)]))
    .orderBy('pieces.chunk_id')
    .orderBy('pieces.keeper_id')
    .limit(pageSize)
    .execute();
  const findings: CheckFinding[] = [];
  let pieces = 0;
  let confirmed = 0;
  for (const row of rows) {
    const on = `its piece on keeper ${row.keeper_id}`;
    const add = (invariant: CheckFinding['invariant'], text: string): void => {
      findings.push({ invariant, subject: row.chunk_id, text });
    };
    // A tombstone may outlive its chunk: the keeper is yet to say that the piece is gone.
    if (row.chunkState === null && row.state !== 'garbage')
      add('S6', `${on} is counted, and there is no chunk`);
    if (row.chunkState === 'garbage' && row.state === 'durable') {
      add('S6', `${on} is counted, and the chunk was given up`);
    }
    if (row.knownKeeper === null) add('counts', `${on} is on a keeper that is not known`);
    if (row.state !== 'durable') continue;
    pieces += 1;
    if (reported.has(row.keeper_id)) confirmed += 1;
  }
  const last = rows.length < pageSize ? undefined : rows.at(-1);
  return { findings, next: last && [last.chunk_id, last.keeper_id], tally: { pieces, confirmed } };
}

/** The repair queue holds live chunks only: others can never be taken off it. */
export async function checkQueue({ db }: MetadataSnapshot, at: Position): Promise<CheckedPage> {
  const rows = await db
    .selectFrom('repair_queue')
    .leftJoin('chunks', 'chunks.chunk_id', 'repair_queue.chunk_id')
    .select(['repair_queue.chunk_id', 'state'])
    .where('repair_queue.chunk_id', '>', String(at[0] ?? ''))
    .orderBy('repair_queue.chunk_id')
    .limit(pageSize)
    .execute();
  const findings = rows
    .filter((row) => row.state !== 'live')
    .map((row): CheckFinding => ({
      invariant: 'repair',
      subject: row.chunk_id,
      text: `it waits for copies, and it is ${row.state ?? 'no chunk that is known'}`,
    }));
  const last = rows.length < pageSize ? undefined : rows.at(-1);
  return { findings, next: last && [last.chunk_id] };
}
