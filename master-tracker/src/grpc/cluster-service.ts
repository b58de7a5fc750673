/** ClusterService: how the cluster stands, for operators. */
import type {
  ClusterServiceHandlers,
  KeeperStatus as KeeperStatusMessage,
  RepairStatus as RepairStatusMessage,
  ScrubProgress as ScrubProgressMessage,
} from '@holdfast/proto';
import { type Logger, checkId, checkRequestId } from '@holdfast/shared';
import { unary, wireText, writeAuthority, writePolicy } from '@holdfast/shared/grpc';
import { type TrackerIdentity, authorityOf } from '../cluster/identity.js';
import type { KeeperStatus, StatusReporter } from '../cluster/status.js';
import type { TokenIssuer } from '../cluster/tokens.js';
import type { ScrubProgress } from '../membership/keeper.js';
import type { UnknownPieces } from '../registry/unknown-pieces.js';
import type { RepairStatus } from '../repair/repair-status.js';
import type { TrackerSettings } from '../settings.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { softwareVersion } from '../version.js';
import { type InspectionParts, inspectionHandlers, keeperStates } from './inspection-service.js';
import { type JobServiceParts, jobHandlers } from './job-service.js';

export interface ClusterServiceParts extends InspectionParts, JobServiceParts {
  readonly status: StatusReporter;
  readonly unknownPieces: UnknownPieces;
  readonly identity: TrackerIdentity;
  readonly store: MetadataStore;
  readonly tokens: TokenIssuer;
  readonly settings: TrackerSettings;
  readonly logger: Logger;
}

export function clusterHandlers(parts: ClusterServiceParts): ClusterServiceHandlers {
  const { status, identity, store, tokens, settings, logger } = parts;
  return {
    GetClusterStatus: unary(async () => {
      const cluster = await status.status();
      const { counters } = cluster;
      return {
        authority: writeAuthority(authorityOf(identity, store), tokens.uptimeMs()),
        softwareVersion,
        metadataRegressed: cluster.metadataRegressed,
        defaultPolicy: writePolicy(settings.defaultPolicy),
        files: counters.files,
        directories: counters.directories,
        logicalBytes: counters.logical_bytes,
        chunks: cluster.chunks,
        chunksBelowPolicy: cluster.chunksBelowPolicy,
        chunksUnreadable: cluster.chunksUnreadable,
        chunksBadlyPlaced: cluster.chunksBadlyPlaced,
        openUploads: counters.open_uploads,
        repairsInFlight: cluster.repair.copiesInFlight,
        piecesToReclaim: cluster.reclaim.piecesToReclaim,
        keepers: cluster.keepers.map(writeKeeper),
        summary: wireText(cluster.summary),
        pieceCounts: cluster.pieceCounts.map((pieceCount) => ({ ...pieceCount })),
        repair: writeRepair(cluster.repair),
        reclaim: { ...cluster.reclaim },
        ...(cluster.scrub && { scrub: writeScrub(cluster.scrub) }),
      };
    }, logger),
    ListKeepers: unary(async () => ({ keepers: (await status.keepers()).map(writeKeeper) }), logger),
    ...jobHandlers(parts),
    TrashUnknownPieces: unary(async (request) => {
      const keeperId = checkId(request.keeperId, 'keeper_id');
      const { trashed, kept } = await parts.unknownPieces.accept(keeperId, checkRequestId(request.requestId));
      return { trashedPieces: trashed, keptPieces: kept };
    }, logger),
    ...inspectionHandlers(parts),
  };
}

function writeKeeper(keeper: KeeperStatus): KeeperStatusMessage {
  const { keeperId, address, zone, lastHeartbeatAgeMs } = keeper;
  return {
    keeper: { keeperId, address, zone },
    storageId: keeper.storageId,
    incarnation: keeper.incarnation,
    state: keeperStates[keeper.state],
    capacity: { ...keeper.capacity },
    pieces: keeper.pieces,
    ...(lastHeartbeatAgeMs !== undefined && { lastHeartbeatAgeMs }),
    softwareVersion: keeper.softwareVersion,
    reported: keeper.reported,
    storageError: keeper.storageError ?? '',
    draining: keeper.draining,
    identityConflict: keeper.identityConflict ?? '',
    ...(keeper.scrub && { scrub: writeScrub(keeper.scrub) }),
  };
}

function writeRepair({ text, remainingMs, blocked, ...repair }: RepairStatus): RepairStatusMessage {
  return {
    ...repair,
    text: wireText(text),
    blocked: blocked.map((each) => ({ ...each })),
    ...(remainingMs !== undefined && { remainingMs }),
  };
}

function writeScrub({
  startedAtUnixMs,
  previousStartedAtUnixMs,
  ...scrub
}: ScrubProgress): ScrubProgressMessage {
  return {
    ...scrub,
    ...(startedAtUnixMs !== undefined && { startedAtUnixMs }),
    ...(previousStartedAtUnixMs !== undefined && { previousStartedAtUnixMs }),
  };
}
