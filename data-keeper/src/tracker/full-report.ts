/**
 * The full report: every stored piece, in order of chunk id, in pages. The directory is the index, so memory is
 * bounded by one page however many pieces there are. A piece that is damaged or cannot be read is left out: to
 * the tracker it is then lost and gets repaired from another copy; a damaged one is set aside, or it would take up
 * room for ever as a piece that nobody counts. Anything else, such as too many open files or a permission that is
 * missing, says nothing of the piece and fails the report, so that no good piece counts as lost.
 */
import { type HoldfastError, type Logger, type Random, hasCode, limits, newId } from '@holdfast/shared';
import type { ChunkStore } from '../store/chunk-store.js';
import { inParallel } from '../store/in-parallel.js';
import { type PieceKey, pieceName } from '../store/piece.js';
import type { OfferedAuthority } from './authority-watch.js';
import type { KeeperStart, LinkOptions, PieceSummary, TrackerLink } from './tracker-link.js';

export interface FullReportDeps {
  readonly store: ChunkStore;
  readonly link: TrackerLink;
  readonly random: Random;
  readonly logger: Logger;
  readonly start: KeeperStart;
  /** True for a piece that is under its name and known to be no copy. */
  readonly isBad: (key: PieceKey) => boolean;
  /** Sets a damaged piece aside and tells of it: being left out means nothing of a piece younger than the report. */
  readonly condemn: (key: PieceKey, error: HoldfastError) => Promise<void>;
  readonly admit: (authority: OfferedAuthority) => Promise<void>;
  /** The tracker's wish that it answers, or ''. */
  readonly wantedReport: string;
}

/** Files looked into at a time: a cold disk answers several as fast as one. */
const parallelLooks = 8;
/** Names taken off the listing at a time. */
const batchSize = 256;

/** Sends a full report. Rejects with the first error; the tracker starts over with the next report. */
export async function sendFullReport(deps: FullReportDeps, options: LinkOptions): Promise<void> {
  const { wantedReport } = deps;
  const reportId = newId(deps.random);
  let page = 0;
  const send = async (pieces: readonly PieceSummary[], last: boolean): Promise<void> => {
    const message = { ...deps.start, reportId, page, pieces, last, wantedReport };
    await deps.admit(await deps.link.reportPieces(message, options));
    page += 1;
  };
  // Announced before anything is listed: what is trashed meanwhile may be in the list, and must not count again by it.
  await send([], false);
  let pieces: PieceSummary[] = [];
  for await (const summary of summaries(deps, options.signal)) {
    // A full page goes out when there is one more, so that the last one is known to be the last.
    if (pieces.length === limits.maxPiecesPerReportPage) {
      await send(pieces, false);
      pieces = [];
    }
    pieces.push(summary);
  }
  await send(pieces, true);
}

async function* summaries(deps: FullReportDeps, signal?: AbortSignal): AsyncGenerator<PieceSummary> {
  let batch: PieceKey[] = [];
  for await (const key of deps.store.list()) {
    signal?.throwIfAborted();
    if (deps.isBad(key)) continue;
    batch.push(key);
    if (batch.length < batchSize) continue;
    yield* await look(deps, batch);
    batch = [];
  }
  yield* await look(deps, batch);
}

async function look(deps: FullReportDeps, keys: readonly PieceKey[]): Promise<PieceSummary[]> {
  const found = await inParallel(keys, parallelLooks, async (key) => {
    try {
      return await deps.store.stat(key);
    } catch (error) {
      if (!hasCode(error, 'CHECKSUM_MISMATCH', 'DISK_FAILED')) throw error;
      deps.logger.error(`piece ${pieceName(key)} is left out of the full report`, { error });
      if (hasCode(error, 'CHECKSUM_MISMATCH')) await deps.condemn(key, error);
      return undefined;
    }
  });
  return found
    .filter((piece) => piece !== undefined)
    .map(({ chunkId, pieceIndex, lengthBytes, digest }) => ({ chunkId, pieceIndex, lengthBytes, digest }));
}
