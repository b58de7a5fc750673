/** The tracker's gRPC server: all services of the contract, and the standard health service. */
import { trackerV1 } from '@holdfast/proto';
import { type Logger, limits } from '@holdfast/shared';
import {
  HealthService,
  type Transport,
  type TransportServer,
  addReflection,
  grpcTransport,
} from '@holdfast/shared/grpc';
import { service as healthDefinition } from 'grpc-health-check';
import type { TrackerCore } from '../core.js';
import type { TrackerSettings } from '../settings.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { clusterHandlers } from './cluster-service.js';
import { locationHandlers } from './location-service.js';
import { namespaceHandlers } from './namespace-service.js';
import { registryHandlers } from './registry-service.js';
import { uploadHandlers } from './upload-service.js';

export interface TrackerServer {
  readonly server: TransportServer;
  /** What grpc.health.v1 answers from now on, for the server and each service. */
  setServing(serving: boolean): void;
}

export interface TrackerServerParts extends TrackerCore {
  readonly store: MetadataStore;
  readonly settings: TrackerSettings;
  readonly logger: Logger;
  /** Default: gRPC over sockets. */
  readonly transport?: Transport;
}

const services = [
  'holdfast.tracker.v1.NamespaceService',
  'holdfast.tracker.v1.UploadService',
  'holdfast.tracker.v1.ChunkLocationService',
  'holdfast.tracker.v1.KeeperRegistryService',
  'holdfast.tracker.v1.ClusterService',
];

export function createTrackerServer(parts: TrackerServerParts): TrackerServer {
  const { settings, logger, transport = grpcTransport } = parts;
  const server = transport.createServer({ maxMessageBytes: limits.maxControlMessageBytes, logger });
  server.addService(trackerV1.NamespaceService.service, namespaceHandlers(parts, logger));
  server.addService(trackerV1.UploadService.service, uploadHandlers(parts.uploads, settings, logger));
  server.addService(
    trackerV1.ChunkLocationService.service,
    locationHandlers(parts.locations, settings.tokenLifetimeMs, logger),
  );
  server.addService(trackerV1.KeeperRegistryService.service, registryHandlers(parts));
  server.addService(trackerV1.ClusterService.service, clusterHandlers(parts));
  const health = new HealthService();
  health.addTo(server, healthDefinition);
  addReflection(server, [...services, 'grpc.health.v1.Health']);
  return {
    server,
    setServing: (serving) => {
      // '' is the server as a whole.
      for (const service of ['', ...services]) health.set(service, serving ? 'SERVING' : 'NOT_SERVING');
    },
  };
}
