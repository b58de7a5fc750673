/** Versions: their extents are contiguous, lie within live chunks, and add up to the size. */
import type { MetadataSnapshot } from '../store/metadata-store.js';
import type { CheckFinding } from './finding.js';
import { type CheckedPage, type Position, pageSize, pathShowing } from './page.js';

interface OpenVersion {
  readonly version: number;
  readonly sizeBytes: number;
  /** Given up: its extents go, a few at a time. */
  readonly retired: boolean;
  /** Where its next extent must begin. */
  endBytes: number;
}

/** A position is [version] behind a version, and [version, last offset, end] within one. */
export async function checkVersions(snapshot: MetadataSnapshot, at: Position): Promise<CheckedPage> {
  const [version = 0, lastOffset, endBytes = 0] = at.map(Number);
  const findings: CheckFinding[] = [];
  const add = async (of: number, text: string): Promise<void> => {
    const path = await pathShowing(snapshot, [of]);
    findings.push({ invariant: 'S1', subject: path ?? `version ${of}`, text });
  };
  const close = async (open: OpenVersion | undefined): Promise<void> => {
    if (!open || open.retired || open.endBytes === open.sizeBytes) return;
    await add(open.version, `its extents end at byte ${open.endBytes}, and it has ${open.sizeBytes} bytes`);
  };

  let open = lastOffset === undefined ? undefined : await versionAt(snapshot, version, endBytes);
  const rows = open ? await restOf(snapshot, version, lastOffset ?? 0) : [];
  if (rows.length < pageSize) rows.push(...(await after(snapshot, version, pageSize - rows.length)));
  for (const row of rows) {
    if (row.version !== open?.version) {
      await close(open);
      const retired = row.retired_transaction_id !== null;
      open = { version: row.version, sizeBytes: row.size_bytes, retired, endBytes: 0 };
    }
    if (row.file_offset === null || row.length === null || row.chunk_offset === null) continue;
    if (!open.retired && row.file_offset !== open.endBytes) {
      await add(open.version, `an extent begins at byte ${row.file_offset}, not at ${open.endBytes}`);
    }
    open.endBytes = row.file_offset + row.length;
    if (row.length < 1) await add(open.version, `the extent at byte ${row.file_offset} is empty`);
    if (row.state !== 'live') {
      await add(open.version, `chunk ${row.chunk_id}, which it uses, is ${row.state ?? 'not known'}`);
    } else if (row.chunk_offset + row.length > (row.chunkLength ?? 0)) {
      await add(open.version, `an extent reaches past the end of chunk ${row.chunk_id}`);
    }
  }
  const last = rows.length < pageSize ? undefined : rows.at(-1);
  if (last && open && last.file_offset !== null) {
    return { findings, next: [open.version, last.file_offset, open.endBytes] };
  }
  await close(open);
  return { findings, next: last && [last.version] };
}

async function versionAt(
  { db }: MetadataSnapshot,
  version: number,
  endBytes: number,
): Promise<OpenVersion | undefined> {
  const row = await db.selectFrom('versions').selectAll().where('version', '=', version).executeTakeFirst();
  return (
    row && { version, sizeBytes: row.size_bytes, retired: row.retired_transaction_id !== null, endBytes }
  );
}

function extentsOf({ db }: MetadataSnapshot) {
  return db
    .selectFrom('versions')
    .leftJoin('extents', 'extents.version', 'versions.version')
    .leftJoin('chunks', 'chunks.chunk_id', 'extents.chunk_id')
    .select([
      'versions.version',
      'size_bytes',
      'retired_transaction_id',
      'extents.file_offset',
      'extents.length',
      'extents.chunk_id',
      'chunk_offset',
      'chunks.state',
      'chunks.length as chunkLength',
    ])
    .orderBy('versions.version')
    .orderBy('extents.file_offset');
}

function restOf(snapshot: MetadataSnapshot, version: number, lastOffset: number) {
  return extentsOf(snapshot)
    .where('versions.version', '=', version)
    .where('extents.file_offset', '>', lastOffset)
    .limit(pageSize)
    .execute();
}

function after(snapshot: MetadataSnapshot, version: number, limit: number) {
  return extentsOf(snapshot).where('versions.version', '>', version).limit(limit).execute();
}
