/** Clusters and chunks by defaults, so that every option written in a test matters to it. */
import type { InFlightCopy } from '../../src/repair/in-flight.js';
import { DEFAULT_REPAIR_LIMITS } from '../../src/repair/repair-view.js';
import type { RepairChunk, RepairKeeper, RepairPiece, RepairView } from '../../src/repair/repair-view.js';
import { seededRandom } from '../placement/seeded.js';

export const MIB = 2 ** 20;
export const NOW_MS = 10_000_000;

export function keeper(keeperId: string, changes: Partial<RepairKeeper> = {}): RepairKeeper {
  return {
    keeperId,
    zone: '',
    state: 'live',
    deadSinceMs: null,
    succeeded: false,
    totalBytes: 1_000 * MIB,
    freeBytes: 500 * MIB,
    reservedBytes: 0,
    storageWritable: true,
    draining: false,
    reported: true,
    copiesAsTarget: 0,
    copiesAsSource: 0,
    clientStreams: 0,
    rateLeftBytes: Infinity,
    ...changes,
  };
}

/** A keeper that has been dead for so long that the brake does not think of it. */
export function lost(keeperId: string, changes: Partial<RepairKeeper> = {}): RepairKeeper {
  return keeper(keeperId, { state: 'dead', deadSinceMs: 0, ...changes });
}

/** A chunk of 3 replicas with a durable piece on each of these keepers. */
export function replicated(
  chunkId: string,
  keeperIds: string[],
  changes: Partial<RepairChunk> = {},
): RepairChunk {
  return {
    chunkId,
    lengthBytes: 4 * MIB,
    policy: { pieces: 3, needed: 1, minWrite: 2 },
    pieces: keeperIds.map((keeperId): RepairPiece => ({ keeperId, pieceIndex: 0, state: 'durable' })),
    ...changes,
  };
}

/** A chunk under rs=4+2 with piece i on the i-th of these keepers; an empty name means that it is missing. */
export function coded(chunkId: string, keeperIds: string[]): RepairChunk {
  const pieces = keeperIds.map((keeperId, pieceIndex): RepairPiece => ({
    keeperId,
    pieceIndex,
    state: 'durable',
  }));
  return {
    chunkId,
    lengthBytes: 4 * MIB,
    policy: { pieces: 6, needed: 4, minWrite: 5 },
    pieces: pieces.filter((piece) => piece.keeperId !== ''),
  };
}

export function copy(
  chunkId: string,
  targetKeeperId: string,
  changes: Partial<InFlightCopy> = {},
): InFlightCopy {
  return {
    chunkId,
    pieceIndex: 0,
    pieceBytes: 4 * MIB,
    targetKeeperId,
    sourceKeeperIds: ['a'],
    sourcesNeeded: 1,
    startedMs: NOW_MS - 1_000,
    ...changes,
  };
}

export function view(
  keepers: RepairKeeper[],
  chunks: RepairChunk[],
  changes: Partial<RepairView> = {},
): RepairView {
  return {
    nowMs: NOW_MS,
    safeMode: false,
    chunks,
    keepers,
    inFlight: [],
    limits: DEFAULT_REPAIR_LIMITS,
    random: seededRandom(1),
    ...changes,
  };
}
