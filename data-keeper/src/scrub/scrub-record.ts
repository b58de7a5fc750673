/**
 * What a scrub remembers over restarts: SCRUB in the data directory (docs/formats/data-directory.md). Losing it costs
 * a round that begins anew, and no more.
 */
import { type FileSystem, type Logger, errnoOf, isErrorCode, isId } from '@holdfast/shared';
import { join } from 'node:path';
import { names, replaceFile } from '../store/data-directory.js';
import type { StorageHealth } from '../store/disk-error.js';
import { decodeRecord, encodeRecord } from '../store/record.js';
import type { BadPieceRecord } from './bad-piece-log.js';

/** On disk: a new meaning is a new number. */
const formatVersion = 1;

export interface ScrubRound {
  /** By the wall clock, for display only. */
  readonly startedAtUnixMs: number;
  /** For how long it has been running, by the monotonic clock: time that the keeper was down does not count. */
  readonly elapsedMs: number;
  /** Everything up to here was read in this round; '' at its beginning. */
  readonly throughChunkId: string;
  readonly scannedPieces: number;
  readonly scannedBytes: number;
  readonly corruptPieces: number;
  readonly unreadPieces: number;
  /** Of the scanned ones, those that could only be read through the page cache. */
  readonly cachedPieces: number;
  /** The task that asked for it; '' for one that began by itself. */
  readonly taskId: string;
}

export interface ScrubRecord {
  /** Whole rounds so far. */
  readonly rounds: number;
  /** When the last whole round before this one began; null if there was none. */
  readonly previousStartedAtUnixMs: number | null;
  /** The task whose round was completed last; ''. */
  readonly completedTaskId: string;
  readonly round: ScrubRound;
  readonly badPieces: readonly BadPieceRecord[];
}

export function newRound(startedAtUnixMs: number, taskId: string): ScrubRound {
  return {
    ...{ startedAtUnixMs, taskId, elapsedMs: 0, throughChunkId: '' },
    ...{ scannedPieces: 0, scannedBytes: 0, corruptPieces: 0, unreadPieces: 0, cachedPieces: 0 },
  };
}

/** undefined if there is none that can be used. */
export async function loadScrubRecord(
  fileSystem: FileSystem,
  dataDir: string,
  logger: Logger,
): Promise<ScrubRecord | undefined> {
  try {
    const record = decodeRecord(await fileSystem.readFile(join(dataDir, names.scrub)));
    if (isScrubRecord(record)) return record;
    logger.warn(`${names.scrub} is damaged: the scrub begins a new round`);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') logger.warn(`${names.scrub} cannot be read`, { error });
  }
  return undefined;
}

/** @throws HoldfastError DISK_FAILED; an errno such as ENOSPC */
export async function saveScrubRecord(
  fileSystem: FileSystem,
  health: StorageHealth,
  dataDir: string,
  record: ScrubRecord,
): Promise<void> {
  const bytes = encodeRecord({ formatVersion, ...record });
  await replaceFile(fileSystem, health, dataDir, names.scrub, bytes);
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isScrubRecord(record: object | undefined): record is ScrubRecord {
  if (!record || !('formatVersion' in record) || record.formatVersion !== formatVersion) return false;
  const { rounds, previousStartedAtUnixMs, completedTaskId, round, badPieces } =
    record as unknown as ScrubRecord;
  if (typeof round !== 'object' || round === null || !Array.isArray(badPieces)) return false;
  const { throughChunkId, taskId, ...counts } = round;
  return (
    isCount(rounds) &&
    (previousStartedAtUnixMs === null || isCount(previousStartedAtUnixMs)) &&
    typeof completedTaskId === 'string' &&
    typeof taskId === 'string' &&
    (throughChunkId === '' || isId(throughChunkId)) &&
    Object.keys(newRound(0, '')).every((key) => key in round) &&
    Object.values(counts).every(isCount) &&
    badPieces.every(isBadPieceRecord)
  );
}

function isBadPieceRecord(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { chunkId, pieceIndex, code, message, inPlace, told } = value as Partial<BadPieceRecord>;
  return (
    typeof chunkId === 'string' &&
    isId(chunkId) &&
    isCount(pieceIndex) &&
    isErrorCode(code) &&
    typeof message === 'string' &&
    typeof inPlace === 'boolean' &&
    typeof told === 'boolean'
  );
}
