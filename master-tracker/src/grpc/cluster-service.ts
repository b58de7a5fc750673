/** ClusterService: how the cluster stands, for operators. */
import type {
  ClusterServiceHandlers,
  KeeperStatus as KeeperStatusMessage,
  ScrubProgress as ScrubProgressMessage,
} from '@holdfast/proto';
import type { Logger } from '@holdfast/shared';
import { unary, wireText, writeAuthority, writePolicy } from '@holdfast/shared/grpc';
import { type TrackerIdentity, authorityOf } from '../cluster/identity.js';
import type { KeeperStatus, StatusReporter } from '../cluster/status.js';
import type { TokenIssuer } from '../cluster/tokens.js';
import type { ScrubProgress } from '../membership/keeper.js';
import type { TrackerSettings } from '../settings.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { softwareVersion } from '../version.js';
import { notOffered } from './namespace-service.js';

export interface ClusterServiceParts {
  readonly status: StatusReporter;
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
        chunks: counters.chunks,
        chunksBelowPolicy: cluster.chunksBelowPolicy,
        chunksUnreadable: cluster.chunksUnreadable,
        openUploads: counters.open_uploads,
        repairsInFlight: cluster.repairsInFlight,
        piecesToReclaim: cluster.piecesToReclaim,
        keepers: cluster.keepers.map(writeKeeper),
        summary: wireText(cluster.summary),
      };
    }, logger),
    ListKeepers: unary(async () => ({ keepers: (await status.keepers()).map(writeKeeper) }), logger),
    DrainKeeper: notOffered('DrainKeeper'),
    RebalanceCluster: notOffered('RebalanceCluster'),
    ScrubKeepers: notOffered('ScrubKeepers'),
    CheckCluster: notOffered('CheckCluster'),
    ListJobs: notOffered('ListJobs'),
    GetJob: notOffered('GetJob'),
    CancelJob: notOffered('CancelJob'),
    SetMaintenance: notOffered('SetMaintenance'),
    ForgetKeeper: notOffered('ForgetKeeper'),
    ExplainEntry: notOffered('ExplainEntry'),
    PreviewKeeperLoss: notOffered('PreviewKeeperLoss'),
    ListEvents: notOffered('ListEvents'),
  };
}

const states = {
  live: 'KEEPER_STATE_LIVE',
  suspect: 'KEEPER_STATE_SUSPECT',
  dead: 'KEEPER_STATE_DEAD',
  maintenance: 'KEEPER_STATE_MAINTENANCE',
} as const;

function writeScrub(progress: ScrubProgress): ScrubProgressMessage {
  const { startedAtUnixMs, previousStartedAtUnixMs, ...counts } = progress;
  return {
    ...counts,
    ...(startedAtUnixMs !== null && { startedAtUnixMs }),
    ...(previousStartedAtUnixMs !== null && { previousStartedAtUnixMs }),
  };
}

function writeKeeper(keeper: KeeperStatus): KeeperStatusMessage {
  const { keeperId, address, zone, lastHeartbeatAgeMs } = keeper;
  return {
    keeper: { keeperId, address, zone },
    storageId: keeper.storageId,
    incarnation: keeper.incarnation,
    state: states[keeper.state],
    capacity: { ...keeper.capacity },
    pieces: keeper.pieces,
    ...(lastHeartbeatAgeMs !== undefined && { lastHeartbeatAgeMs }),
    softwareVersion: keeper.softwareVersion,
    reported: keeper.reported,
    storageError: keeper.storageError ?? '',
    ...(keeper.scrub && { scrub: writeScrub(keeper.scrub) }),
  };
}
