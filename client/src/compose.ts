/** Where the client is put together around the clock, the randomness and the transport that it is given. */
import { ByteBudget, type Clock, type Random } from '@holdfast/shared';
import {
  ChannelPool,
  type Transport,
  controlChannelOptions,
  dataChannelOptions,
  dataConnections,
} from '@holdfast/shared/grpc';
import { HoldfastClient } from './client.js';
import { KeeperHealth } from './core/keeper-health.js';
import { createGrpcKeepers } from './grpc/grpc-keeper.js';
import { createGrpcTracker } from './grpc/grpc-tracker.js';
import type { TrackerApi } from './ports/tracker-api.js';

export interface ClientParts {
  /** HOST:PORT of the tracker, or of several. */
  readonly addresses: readonly string[];
  /** What all transfers together may buffer. */
  readonly memoryBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
}

/** A client that has not called anybody yet. */
export function composeClient(parts: ClientParts): { client: HoldfastClient; tracker: TrackerApi } {
  const { addresses, memoryBytes, clock, random, transport } = parts;
  // Bytes have channels of their own: a metadata call must not wait behind a chunk.
  const control = new ChannelPool(controlChannelOptions, 1, transport);
  const writes = new ChannelPool(dataChannelOptions, dataConnections, transport);
  const reads = new ChannelPool(dataChannelOptions, dataConnections, transport);
  const tracker = createGrpcTracker(control, addresses);
  const context = {
    ...{ clock, random, tracker },
    keepers: createGrpcKeepers({ writes, reads }),
    memory: new ByteBudget(memoryBytes),
    health: new KeeperHealth(clock),
  };
  const close = (): void => {
    control.close();
    writes.close();
    reads.close();
  };
  return { client: new HoldfastClient(context, close), tracker };
}
