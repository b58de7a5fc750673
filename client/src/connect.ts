/** Where the client is put together: the real channels, clock and randomness around the core. */
import { ByteBudget, HoldfastError } from '@holdfast/shared';
import {
  ChannelPool,
  checkAddress,
  controlChannelOptions,
  dataChannelOptions,
  dataConnections,
} from '@holdfast/shared/grpc';
import { systemClock, systemRandom } from '@holdfast/shared/node';
import { HoldfastClient } from './client.js';
import { KeeperHealth } from './core/keeper-health.js';
import { heard } from './core/signals.js';
import { firstContact } from './grpc/first-contact.js';
import { createGrpcKeepers } from './grpc/grpc-keeper.js';
import { createGrpcTracker } from './grpc/grpc-tracker.js';

export interface ConnectOptions {
  /**
   * HOST:PORT of the tracker, or several with commas: the client stays with one that answers. Default:
   * 127.0.0.1:7400, where a local cluster listens.
   */
  readonly tracker?: string;
  /**
   * What all transfers together may buffer, in bytes. Default 64 MiB, enough for one stream that is uploaded, or 21
   * chunks of files; every transfer always gets what one chunk needs. The process takes about 140 MB
   * more: Node itself, and buffers that are no longer used and not yet collected.
   */
  readonly memoryBytes?: number;
  /** Gives the connecting up. */
  readonly signal?: AbortSignal | undefined;
}

/** Where `npm start` has its tracker. */
export const defaultTracker = '127.0.0.1:7400';
const defaultMemoryBytes = 64 * 1024 * 1024;

/**
 * Connects to a cluster, and makes sure that a Holdfast tracker answers.
 *
 * @throws HoldfastError UNAVAILABLE (within about 2 s if nobody listens), DEADLINE_EXCEEDED (within 10 s if
 *   somebody listens and says nothing), INVALID_ARGUMENT, CANCELLED
 * @example
 * const client = await connect({ tracker: 'tracker.lan:7400' });
 * try {
 *   await client.upload('notes.txt', '/notes.txt');
 * } finally {
 *   client.close();
 * }
 */
export async function connect(options: ConnectOptions = {}): Promise<HoldfastClient> {
  const { tracker: addressList = defaultTracker, memoryBytes = defaultMemoryBytes, signal } = heard(options);
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 0) {
    throw new HoldfastError('INVALID_ARGUMENT', `memoryBytes must be a number of bytes, not ${memoryBytes}`);
  }
  const addresses = addressList.split(',').map((address) => checkAddress(address.trim()));
  // Bytes have channels of their own: a metadata call must not wait behind a chunk.
  const control = new ChannelPool(controlChannelOptions);
  const writes = new ChannelPool(dataChannelOptions, dataConnections);
  const reads = new ChannelPool(dataChannelOptions, dataConnections);
  const close = (): void => {
    control.close();
    writes.close();
    reads.close();
  };
  const tools = { clock: systemClock, random: systemRandom };
  const tracker = createGrpcTracker(control, addresses);
  try {
    await firstContact(tracker, addresses, { ...tools, signal });
  } catch (error) {
    close();
    throw error;
  }
  const context = {
    ...tools,
    tracker,
    keepers: createGrpcKeepers({ writes, reads }),
    memory: new ByteBudget(memoryBytes),
    health: new KeeperHealth(systemClock),
  };
  return new HoldfastClient(context, close);
}
