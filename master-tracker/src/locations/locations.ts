/**
 * Where the bytes of a version are: the tracker's part of every read.
 *
 * Pieces on live keepers come first, in a random order so that readers spread; then those whose keepers were not
 * heard lately (they may be reachable for others than the tracker); a piece that somebody reported bad comes
 * after the good ones of its kind until its keeper has verified it.
 */
import { HoldfastError, type KeeperEndpoint, type Policy, type Random } from '@holdfast/shared';
import type { TokenIssuer } from '../cluster/tokens.js';
import type { Membership } from '../membership/membership.js';
import { type Names, isADirectory, pathOf, resolve } from '../namespace/resolve.js';
import type { TaskBoard } from '../registry/task-board.js';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataStore } from '../store/metadata-store.js';
import type { VersionsTable } from '../store/schema.js';
import { type ChunkRow, type FileLocation, fileExtents } from './file-extents.js';
import type { Readers } from './readers.js';

export interface LocatedExtent {
  readonly chunkId: string;
  readonly chunkOffset: number;
  readonly lengthBytes: number;
  readonly fileOffset: number;
  readonly chunkLengthBytes: number;
  /** Hex. */
  readonly chunkDigest: string;
  readonly pieces: readonly { readonly keeper: KeeperEndpoint; readonly reachable: boolean }[];
  readonly readToken: Buffer;
}

/** A chunk with all that is needed to read it. */
export interface LocatedChunk extends ChunkRow {
  readonly pieces: LocatedExtent['pieces'];
  readonly readToken: Buffer;
}

export interface LocatedFiles {
  /** As many as were asked for, in the same order. */
  readonly files: readonly FileLocation[];
  /** Those of the files that are located, once each. */
  readonly chunks: readonly LocatedChunk[];
}

export interface LocatedVersion {
  readonly version: number;
  readonly sizeBytes: number;
  readonly policy: Policy;
  readonly extents: readonly LocatedExtent[];
  /** Where to go on; 0 if the range is covered. */
  readonly nextOffset: number;
}

export interface LocateRequest {
  /** The version that the path shows, or a version by number. */
  readonly target: { readonly names: Names } | { readonly version: number };
  readonly offset: number;
  /** 0: to the end. */
  readonly lengthBytes: number;
  readonly pageSize: number;
}

export interface LocationsParts {
  readonly store: MetadataStore;
  readonly membership: Membership;
  readonly tokens: TokenIssuer;
  readonly tasks: TaskBoard;
  readonly random: Random;
  readonly readers: Readers;
}

interface ExtentRow {
  readonly chunk_id: string;
  readonly chunk_offset: number;
  readonly file_offset: number;
  readonly length: number;
  readonly chunk_length: number | null;
  readonly digest: string | null;
}

export class Locations {
  readonly #parts: LocationsParts;

  constructor(parts: LocationsParts) {
    this.#parts = parts;
  }

  /** @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY, IS_A_DIRECTORY */
  async locate(request: LocateRequest): Promise<LocatedVersion> {
    const found = await this.#parts.store.read(async (snapshot) => {
      const version = await versionOf(snapshot, request.target);
      const end =
        request.lengthBytes === 0
          ? version.size_bytes
          : Math.min(version.size_bytes, request.offset + request.lengthBytes);
      const rows = await extentsIn(snapshot, version.version, request.offset, end, request.pageSize);
      // Reclamation takes a version apart from its start: what is left must not pass for the whole range.
      if (request.offset < end && (rows[0]?.file_offset ?? Infinity) > request.offset) {
        throw noVersion(version.version);
      }
      const holders = await holdersOf(snapshot, [...new Set(rows.map((row) => row.chunk_id))]);
      return { version, end, rows, holders };
    });
    const { version, end, rows, holders } = found;
    this.#parts.readers.note(version.version);
    const last = rows.at(-1);
    const covered = last ? last.file_offset + last.length : end;
    return {
      version: version.version,
      sizeBytes: version.size_bytes,
      policy: { scheme: 'replicas', pieces: version.pieces, needed: 1, minWrite: version.min_write },
      extents: rows.map((row) => this.#describe(row, holders.get(row.chunk_id) ?? [])),
      nextOffset: covered < end ? covered : 0,
    };
  }

  /** Whole versions, at most `limits.maxLocatedFiles`; one that is gone or does not fit says so and fails no other. */
  async locateFiles(versions: readonly number[]): Promise<LocatedFiles> {
    const { files, chunks, holders } = await this.#parts.store.read(async (snapshot) => {
      const found = await fileExtents(snapshot, versions);
      const chunkIds = found.chunks.map(({ chunkId }) => chunkId);
      return { ...found, holders: await holdersOf(snapshot, chunkIds) };
    });
    for (const { status, version } of files) if (status === 'located') this.#parts.readers.note(version);
    return {
      files,
      chunks: chunks.map((chunk) => ({
        ...chunk,
        pieces: this.#inOrder(chunk.chunkId, holders.get(chunk.chunkId) ?? []),
        readToken: this.#parts.tokens.read(chunk.chunkId),
      })),
    };
  }

  #describe(row: ExtentRow, keeperIds: readonly string[]): LocatedExtent {
    return {
      chunkId: row.chunk_id,
      chunkOffset: row.chunk_offset,
      lengthBytes: row.length,
      fileOffset: row.file_offset,
      chunkLengthBytes: row.chunk_length ?? 0,
      chunkDigest: row.digest ?? '',
      pieces: this.#inOrder(row.chunk_id, keeperIds),
      readToken: this.#parts.tokens.read(row.chunk_id),
    };
  }

  #inOrder(chunkId: string, keeperIds: readonly string[]): LocatedExtent['pieces'] {
    const { membership, tasks, random } = this.#parts;
    const ranks = { live: 0, maintenance: 2, suspect: 2, dead: 4 } as const;
    return keeperIds
      .flatMap((keeperId) => {
        const keeper = membership.get(keeperId);
        if (!keeper) return [];
        const doubt = tasks.has(keeperId, 'verify', chunkId) ? 1 : 0;
        return [{ keeper, rank: ranks[keeper.state] + doubt + random.fraction() }];
      })
      .sort((a, b) => a.rank - b.rank)
      .map(({ keeper }) => ({
        keeper: { keeperId: keeper.keeperId, address: keeper.address, zone: keeper.zone },
        reachable: keeper.state === 'live',
      }));
  }

  /**
   * Has the keeper of a piece verify it. Nothing is removed on a client's word. Harmless to repeat.
   *
   * @throws HoldfastError UNAUTHENTICATED
   */
  async reportBadPiece(chunkId: string, keeperId: string, readToken: Uint8Array): Promise<void> {
    const { store, tokens, tasks } = this.#parts;
    tokens.checkRead(readToken, chunkId);
    const row = await store.read(({ db }) =>
      db
        .selectFrom('pieces')
        .innerJoin('chunks', 'chunks.chunk_id', 'pieces.chunk_id')
        .select('digest')
        .where('pieces.chunk_id', '=', chunkId)
        .where('keeper_id', '=', keeperId)
        .where('pieces.state', '=', 'durable')
        .executeTakeFirst(),
    );
    if (row?.digest) tasks.post(keeperId, { kind: 'verify', chunkId, digest: row.digest });
  }
}

async function versionOf(
  snapshot: MetadataSnapshot,
  target: LocateRequest['target'],
): Promise<VersionsTable> {
  let number: number;
  if ('version' in target) {
    number = target.version;
  } else {
    const entry = await resolve(snapshot, target.names);
    if (entry.type === 'directory') throw isADirectory(pathOf(target.names));
    number = entry.version;
  }
  const version = await snapshot.db
    .selectFrom('versions')
    .selectAll()
    .where('version', '=', number)
    .executeTakeFirst();
  if (version) return version;
  throw noVersion(number);
}

function noVersion(version: number): HoldfastError {
  return new HoldfastError('NOT_FOUND', `there is no version ${version}`, {
    remedy: 'The file was replaced or deleted a while ago: ask for the path again.',
  });
}

/** The extents that overlap the range, at most `limit`. Contiguous, so the first one is found by its offset. */
async function extentsIn(
  { db }: MetadataSnapshot,
  version: number,
  offset: number,
  end: number,
  limit: number,
): Promise<ExtentRow[]> {
  if (offset >= end) return [];
  const first = await db
    .selectFrom('extents')
    .select('file_offset')
    .where('version', '=', version)
    .where('file_offset', '<=', offset)
    .orderBy('file_offset', 'desc')
    .limit(1)
    .executeTakeFirst();
  return db
    .selectFrom('extents')
    .innerJoin('chunks', 'chunks.chunk_id', 'extents.chunk_id')
    .select([
      'extents.chunk_id',
      'chunk_offset',
      'extents.file_offset',
      'extents.length',
      'chunks.length as chunk_length',
      'digest',
    ])
    .where('version', '=', version)
    .where('extents.file_offset', '>=', first?.file_offset ?? 0)
    .where('extents.file_offset', '<', end)
    .orderBy('extents.file_offset')
    .limit(limit)
    .execute();
}

async function holdersOf(
  { db }: MetadataSnapshot,
  chunkIds: readonly string[],
): Promise<Map<string, string[]>> {
  const holders = new Map<string, string[]>();
  for (const page of batches(chunkIds)) {
    const rows = await db
      .selectFrom('pieces')
      .select(['chunk_id', 'keeper_id'])
      .where('chunk_id', 'in', page)
      .where('state', '=', 'durable')
      .execute();
    for (const row of rows) {
      const known = holders.get(row.chunk_id);
      if (known) known.push(row.keeper_id);
      else holders.set(row.chunk_id, [row.keeper_id]);
    }
  }
  return holders;
}
