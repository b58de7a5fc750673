/** What a tracker says of a cluster that is well; tests change what they are about. */
import { type KeeperEndpoint, defaultPolicy } from '@holdfast/shared';
import type { ClusterStatus, KeeperStatus } from '../../src/ports/cluster-status.js';
import type { LossPreview } from '../../src/ports/inspection.js';

export function keeperStatusOf(keeper: KeeperEndpoint, changes: Partial<KeeperStatus> = {}): KeeperStatus {
  const { keeperId, address, zone } = keeper;
  return {
    ...{ keeperId, address, zone, state: 'live', totalBytes: 4_096, usedBytes: 1_024, freeBytes: 3_072 },
    ...{ trashBytes: 0, pieces: 7, lastHeartbeatAgeMs: 400, softwareVersion: '1', reported: true },
    ...{ storageError: '', draining: false, identityConflict: '', ...changes },
  };
}

export function statusOf(
  keepers: readonly KeeperEndpoint[],
  changes: Partial<ClusterStatus> = {},
): ClusterStatus {
  return {
    summary: 'healthy: 3 keepers live, every chunk has all its copies',
    ...{ clusterId: 'c'.repeat(32), trackerEpoch: 1, trackerVersion: '1', metadataRegressed: false },
    defaultPolicy,
    ...{
      files: 2,
      directories: 1,
      logicalBytes: 2_048,
      chunks: 7,
      chunksBelowPolicy: 0,
      chunksUnreadable: 0,
    },
    ...{ openUploads: 0, repairsInFlight: 0, piecesToReclaim: 0, chunksBadlyPlaced: 0 },
    pieceCounts: [{ policyPieces: 3, countedPieces: 3, chunks: 7 }],
    repair: {
      ...{ text: 'No chunk waits for a copy.', chunksQueued: 0, copiesInFlight: 0, bytesPerSecond: 0 },
      ...{ limitBytesPerSecond: 0, braked: false, safeMode: false, blocked: [] },
    },
    reclaim: { trashedVersions: 0, trashedBytes: 0, piecesToReclaim: 0, keeperTrashBytes: 0 },
    keepers: keepers.map((keeper) => keeperStatusOf(keeper)),
    ...changes,
  };
}

export const noLoss: LossPreview = {
  summary: 'nothing would be lost without this keeper',
  ...{ lostChunks: 0, lostBytes: 0, lostFiles: 0, lostPaths: [], endangeredChunks: 0, chunksBelowPolicy: 0 },
  ...{ bytesToCopy: 0, roomBytes: 9_000, canWrite: true },
};
