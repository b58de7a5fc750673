/**
 * Where many small versions are, in one question. The failure it answers: a reader of a million small files that asks
 * for each of them costs a transaction a file.
 */
import { limits } from '@holdfast/shared';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';

interface FileExtent {
  readonly chunkId: string;
  readonly chunkOffset: number;
  readonly lengthBytes: number;
}

export interface ChunkRow {
  readonly chunkId: string;
  readonly lengthBytes: number;
  /** Hex. */
  readonly digest: string;
}

/** A version with all of its extents, or why they are not here. */
export type FileLocation =
  | {
      readonly status: 'located';
      readonly version: number;
      readonly sizeBytes: number;
      readonly extents: readonly FileExtent[];
    }
  | { readonly status: 'gone' | 'left-out'; readonly version: number };

export interface FileExtents {
  /** As many as were asked for, in the same order. */
  readonly files: readonly FileLocation[];
  /** Those of the files that are located, once each. */
  readonly chunks: readonly ChunkRow[];
}

/** A version has one row for each extent, or a single one without a chunk if it has none. */
interface Row {
  readonly version: number;
  readonly size_bytes: number;
  readonly file_offset: number | null;
  readonly length: number | null;
  readonly chunk_id: string | null;
  readonly chunk_offset: number | null;
  readonly chunk_length: number | null;
  readonly digest: string | null;
}

/** The extents of `versions`, of which there are at most `limits.maxLocatedFiles`. */
export async function fileExtents(
  snapshot: MetadataSnapshot,
  versions: readonly number[],
): Promise<FileExtents> {
  const rowsOf = await rowsByVersion(snapshot, [...new Set(versions)]);
  const chunks = new Map<string, ChunkRow>();
  const files = versions.map((version): FileLocation => {
    const rows = rowsOf.get(version) ?? [];
    const extents: FileExtent[] = [];
    const added = new Map<string, ChunkRow>();
    let reached = 0;
    for (const row of rows) {
      const { chunk_id: chunkId, chunk_offset: chunkOffset, length: lengthBytes } = row;
      if (chunkId === null || chunkOffset === null || lengthBytes === null) break;
      // Reclamation takes a version apart from its start: what is left must not pass for the whole.
      if (row.file_offset !== reached) return { status: 'gone', version };
      reached += lengthBytes;
      extents.push({ chunkId, chunkOffset, lengthBytes });
      const chunk = { chunkId, lengthBytes: row.chunk_length ?? 0, digest: row.digest ?? '' };
      if (!chunks.has(chunkId)) added.set(chunkId, chunk);
    }
    if (extents.length > limits.maxExtentsPerLocatedFile) return { status: 'left-out', version };
    const sizeBytes = rows[0]?.size_bytes;
    if (sizeBytes !== reached) return { status: 'gone', version };
    if (chunks.size + added.size > limits.maxLocatePageSize) return { status: 'left-out', version };
    for (const [chunkId, chunk] of added) chunks.set(chunkId, chunk);
    return { status: 'located', version, sizeBytes, extents };
  });
  return { files, chunks: [...chunks.values()] };
}

/** In order of their offsets; of a version that has more extents than fit, one more than that. */
async function rowsByVersion(
  { db }: MetadataSnapshot,
  versions: readonly number[],
): Promise<Map<number, Row[]>> {
  const found = new Map<number, Row[]>();
  for (const page of batches(versions)) {
    const rows = await db
      .selectFrom('versions')
      .leftJoin('extents', (join) =>
        join
          .onRef('extents.version', '=', 'versions.version')
          .on((on) =>
            on(
              'extents.file_offset',
              '<=',
              on.fn.coalesce(
                on
                  .selectFrom('extents as later')
                  .select('later.file_offset')
                  .whereRef('later.version', '=', 'versions.version')
                  .orderBy('later.file_offset')
                  .limit(1)
                  .offset(limits.maxExtentsPerLocatedFile),
                on.val(Number.MAX_SAFE_INTEGER),
              ),
            ),
          ),
      )
      .leftJoin('chunks', 'chunks.chunk_id', 'extents.chunk_id')
      .select([
        'versions.version',
        'size_bytes',
        'extents.file_offset',
        'extents.length',
        'extents.chunk_id',
        'chunk_offset',
        'chunks.length as chunk_length',
        'digest',
      ])
      .where('versions.version', 'in', page)
      .orderBy('versions.version')
      .orderBy('extents.file_offset')
      .execute();
    for (const row of rows) {
      const known = found.get(row.version);
      if (known) known.push(row);
      else found.set(row.version, [row]);
    }
  }
  return found;
}
