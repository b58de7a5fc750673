/**
 * The contract, loaded from the `.proto` files that stand beside this package's code, with the types that
 * were generated from them. Nothing else lives here: no defaults, no checks, no calls.
 */
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';
import type {
  ChunkLocationServiceFile,
  ChunkServiceFile,
  ClusterServiceFile,
  KeeperRegistryServiceFile,
  NamespaceServiceFile,
  ReplicaServiceFile,
  StatusFile,
  UploadServiceFile,
} from './gen/index.js';
import { readStrictly } from './strictly.js';

export type * from './gen/index.js';
export {
  type Reflection,
  type ReflectionRequest,
  type ReflectionResponse,
  loadReflection,
} from './reflection.js';

/** The folder that holds `holdfast/` and `google/`: what a peer in another language compiles. */
export const protoDirectory = fileURLToPath(new URL('..', import.meta.url));

/** Every .proto file of the contract that declares services or is needed on its own. */
export const protoFiles = [
  'holdfast/tracker/v1/namespace_service.proto',
  'holdfast/tracker/v1/upload_service.proto',
  'holdfast/tracker/v1/chunk_location_service.proto',
  'holdfast/tracker/v1/keeper_registry_service.proto',
  'holdfast/tracker/v1/cluster_service.proto',
  'holdfast/keeper/v1/chunk_service.proto',
  'holdfast/keeper/v1/replica_service.proto',
  'google/rpc/status.proto',
] as const;

// As in generate.mjs. Numbers: every 64-bit field is a size, offset, count or time well below 2^53; a larger
// one from a hostile peer comes out as an unsafe integer and is refused where messages are checked.
const packageDefinition = readStrictly(
  loadSync([...protoFiles], {
    includeDirs: [protoDirectory],
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  }),
);

type Files = ChunkLocationServiceFile &
  ChunkServiceFile &
  ClusterServiceFile &
  KeeperRegistryServiceFile &
  NamespaceServiceFile &
  ReplicaServiceFile &
  StatusFile &
  UploadServiceFile;

const loaded = loadPackageDefinition(packageDefinition) as unknown as Files;

/** The tracker's services: each a client constructor with its definition in `.service`. */
export const trackerV1 = loaded.holdfast.tracker.v1;
/** The keeper's services. */
export const keeperV1 = loaded.holdfast.keeper.v1;
/** Messages that several services share, with their (de)serialisers. */
export const commonV1 = loaded.holdfast.common.v1;
/** google.rpc.Status, the envelope of error details. */
export const googleRpc = loaded.google.rpc;
