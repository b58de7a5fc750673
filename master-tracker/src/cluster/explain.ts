/**
 * Where every piece of a file is, how it stands, why it is there, and what is being done about what is missing.
 *
 * The failure it answers: "2 of 3 copies" of a file that somebody needs, and no way to learn which keeper, why, and
 * whether anybody works on it. What is not known is left out: nothing here is a guess.
 */
import type { Clock, KeeperEndpoint } from '@holdfast/shared';
import type { KeeperView, ScrubProgress } from '../membership/keeper.js';
import { keeperName } from '../membership/keeper-name.js';
import type { KeeperState } from '../membership/lease.js';
import type { Membership } from '../membership/membership.js';
import type { Entry } from '../namespace/entry.js';
import type { Namespace } from '../namespace/namespace.js';
import { type Names, isADirectory, notFound, pathOf } from '../namespace/resolve.js';
import { notLookedAt } from '../registry/keeper-changes.js';
import { whyMissingInWords, whyPlacedInWords } from '../registry/reasons.js';
import type { InFlightCopy, InFlightTable } from '../repair/in-flight.js';
import type { Prospects, Repair } from '../repair/repair.js';
import { batches } from '../store/batches.js';
import type { MetadataSnapshot, MetadataStore } from '../store/metadata-store.js';
import type { PieceState } from '../store/schema.js';
import { tellChunk } from './chunk-story.js';

export interface ExplainedPiece {
  readonly keeper: KeeperEndpoint;
  readonly keeperState: KeeperState;
  readonly state: PieceState | 'copying';
  /** True if it is one of the chunk's counted pieces. */
  readonly counted: boolean;
  /** It was verified, byte by byte, at this time or later, as the scrub proves; undefined if that is not known. */
  readonly verifiedSinceUnixMs: number | undefined;
  /** When its keeper told that it had written it, every block verified; undefined if that is not known. */
  readonly writtenAtUnixMs: number | undefined;
  /** In a few words; '' if that is not known. */
  readonly placedBecause: string;
}

export interface ExplainedChunk {
  readonly chunkId: string;
  readonly fileOffset: number;
  readonly lengthBytes: number;
  readonly policyPieces: number;
  readonly countedPieces: number;
  readonly pieces: readonly ExplainedPiece[];
  readonly text: string;
}

/** Where a page begins: every page is of the version that the first one found. */
export interface ExplainPosition {
  readonly version: number;
  readonly fileOffset: number;
}

export interface ExplainedPage {
  /** On the first page only: counting its copies again for each page would take long for a large file. */
  readonly entry: Entry | undefined;
  readonly chunks: readonly ExplainedChunk[];
  /** undefined on the last page. */
  readonly next: ExplainPosition | undefined;
}

export interface ExplainParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly membership: Membership;
  readonly inFlight: InFlightTable;
  readonly namespace: Pick<Namespace, 'getEntry'>;
  readonly repair: Pick<Repair, 'prospects'>;
}

interface ExtentRow {
  readonly chunk_id: string;
  readonly file_offset: number;
  readonly length: number;
  readonly chunk_length: number | null;
  readonly pieces: number;
  /** Why it is in the repair queue; null if it is not. */
  readonly because: string | null;
}

interface PieceRow {
  readonly chunk_id: string;
  readonly keeper_id: string;
  readonly state: PieceState;
  readonly because: string | null;
  readonly written_at_unix_ms: number | null;
  readonly dead: number;
}

export class Explainer {
  readonly #parts: ExplainParts;

  constructor(parts: ExplainParts) {
    this.#parts = parts;
  }

  /** A page of up to `pageSize` extents. @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY, IS_A_DIRECTORY */
  async explain(names: Names, pageSize: number, from: ExplainPosition | undefined): Promise<ExplainedPage> {
    const { store, namespace, repair } = this.#parts;
    const entry = from ? undefined : await namespace.getEntry(names);
    if (entry?.type === 'directory') throw isADirectory(pathOf(names));
    const at = from ?? { version: entry?.version ?? 0, fileOffset: 0 };
    const { rows, pieces, joining } = await store.read(async (snapshot) => {
      const extents = await extentsFrom(snapshot, at, pageSize + 1);
      const shown = extents.slice(0, pageSize);
      const chunkIds = [...new Set(shown.map((extent) => extent.chunk_id))];
      return {
        rows: extents,
        pieces: await piecesOf(snapshot, shown),
        joining: await notLookedAt(snapshot, chunkIds),
      };
    });
    // Extents are contiguous; reclamation takes them off a version that was replaced meanwhile.
    const isGone = from
      ? rows[0]?.file_offset !== from.fileOffset
      : rows.length === 0 && entry?.sizeBytes !== 0;
    if (isGone) throw notFound(pathOf(names));
    const page = rows.slice(0, pageSize);
    const prospects = repair.prospects(
      page.map((row) => ({
        chunkId: row.chunk_id,
        lengthBytes: row.chunk_length ?? 0,
        policy: { pieces: row.pieces, needed: 1, minWrite: 1 },
        pieces: (pieces.get(row.chunk_id) ?? [])
          .filter((piece) => piece.state === 'durable')
          .map((piece) => ({ keeperId: piece.keeper_id, pieceIndex: 0, state: 'durable' as const })),
      })),
    );
    const next = rows[pageSize];
    return {
      entry,
      chunks: page.map((row) => {
        const isQueued = row.because !== null || joining.has(row.chunk_id);
        return this.#describe(row, pieces.get(row.chunk_id) ?? [], isQueued, prospects);
      }),
      next: next && { version: at.version, fileOffset: next.file_offset },
    };
  }

  #describe(
    row: ExtentRow,
    rows: readonly PieceRow[],
    isQueued: boolean,
    prospects: Prospects,
  ): ExplainedChunk {
    const { clock, membership, inFlight } = this.#parts;
    const name = (keeperId: string): string => keeperName(membership, keeperId);
    const copies = inFlight.copiesOf(row.chunk_id);
    const isThere = new Set(rows.map((piece) => piece.keeper_id));
    const described = [
      ...rows.flatMap((piece) => this.#piece(piece)),
      ...copies.filter((copy) => !isThere.has(copy.targetKeeperId)).flatMap((copy) => this.#copying(copy)),
    ];
    const countedPieces = rows.filter(isCounted).length;
    return {
      chunkId: row.chunk_id,
      fileOffset: row.file_offset,
      lengthBytes: row.length,
      policyPieces: row.pieces,
      countedPieces,
      pieces: described,
      text: tellChunk({
        policyPieces: row.pieces,
        countedPieces,
        isQueued,
        why: whyMissingInWords(row.because ?? '', name),
        awayWith: rows
          .filter((piece) => piece.state === 'durable' && !isCounted(piece))
          .map((p) => name(p.keeper_id)),
        copies: copies.map((copy) => ({
          to: name(copy.targetKeeperId),
          ageMs: clock.monotonicMs() - copy.startedMs,
        })),
        standstill: prospects.standstill,
        blocked: prospects.blocked.get(row.chunk_id),
      }),
    };
  }

  #piece(piece: PieceRow): ExplainedPiece[] {
    const { membership } = this.#parts;
    const keeper = membership.get(piece.keeper_id);
    if (!keeper) return [];
    const isDurable = piece.state === 'durable';
    return [
      {
        keeper: endpointOf(keeper),
        // A death that the metadata does not know yet takes no count away yet.
        keeperState: keeper.state === 'dead' && piece.dead === 0 ? 'suspect' : keeper.state,
        state: piece.state,
        counted: isCounted(piece),
        verifiedSinceUnixMs: isDurable ? verifiedSince(keeper.scrub, piece.chunk_id) : undefined,
        writtenAtUnixMs: isDurable ? (piece.written_at_unix_ms ?? undefined) : undefined,
        placedBecause: whyPlacedInWords(piece.because, (keeperId) => keeperName(membership, keeperId)),
      },
    ];
  }

  #copying({ targetKeeperId, because }: InFlightCopy): ExplainedPiece[] {
    const { membership } = this.#parts;
    const keeper = membership.get(targetKeeperId);
    if (!keeper) return [];
    return [
      {
        keeper: endpointOf(keeper),
        keeperState: keeper.state,
        state: 'copying',
        counted: false,
        verifiedSinceUnixMs: undefined,
        writtenAtUnixMs: undefined,
        placedBecause: whyPlacedInWords(because ?? '', (keeperId) => keeperName(membership, keeperId)),
      },
    ];
  }
}

function isCounted(piece: PieceRow): boolean {
  return piece.state === 'durable' && piece.dead === 0;
}

function endpointOf({ keeperId, address, zone }: KeeperView): KeeperEndpoint {
  return { keeperId, address, zone };
}

/**
 * Since when a piece is known to have been verified: the beginning of the last round of scrubbing that passed it. A
 * piece that was written later was verified then. With pieces that could not be read, it may be one of them.
 */
export function verifiedSince(scrub: ScrubProgress | null, chunkId: string): number | undefined {
  if (!scrub || scrub.unreadPieces > 0) return undefined;
  return chunkId <= scrub.throughChunkId ? scrub.startedAtUnixMs : scrub.previousStartedAtUnixMs;
}

async function extentsFrom(
  { db }: MetadataSnapshot,
  { version, fileOffset }: ExplainPosition,
  limit: number,
): Promise<ExtentRow[]> {
  return db
    .selectFrom('extents')
    .innerJoin('chunks', 'chunks.chunk_id', 'extents.chunk_id')
    .leftJoin('repair_queue', 'repair_queue.chunk_id', 'extents.chunk_id')
    .select([
      'extents.chunk_id',
      'extents.file_offset',
      'extents.length',
      'chunks.length as chunk_length',
      'pieces',
      'because',
    ])
    .where('version', '=', version)
    .where('extents.file_offset', '>=', fileOffset)
    .orderBy('extents.file_offset')
    .limit(limit)
    .execute();
}

async function piecesOf(
  { db }: MetadataSnapshot,
  extents: readonly ExtentRow[],
): Promise<Map<string, PieceRow[]>> {
  const byChunk = new Map<string, PieceRow[]>();
  for (const page of batches([...new Set(extents.map((extent) => extent.chunk_id))])) {
    const rows = await db
      .selectFrom('pieces')
      .innerJoin('keepers', 'keepers.keeper_id', 'pieces.keeper_id')
      .select(['chunk_id', 'pieces.keeper_id', 'state', 'because', 'written_at_unix_ms', 'dead'])
      .where('chunk_id', 'in', page)
      .orderBy('chunk_id')
      .orderBy('pieces.keeper_id')
      .execute();
    for (const row of rows) {
      const known = byChunk.get(row.chunk_id);
      if (known) known.push(row);
      else byChunk.set(row.chunk_id, [row]);
    }
  }
  return byChunk;
}
