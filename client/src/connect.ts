/** Connecting: the client around the real channels, clock and randomness, once a tracker has answered. */
import { HoldfastError } from '@holdfast/shared';
import { checkAddress, grpcTransport } from '@holdfast/shared/grpc';
import { systemClock, systemRandom } from '@holdfast/shared/node';
import type { HoldfastClient } from './client.js';
import { composeClient } from './compose.js';
import { heard } from './core/signals.js';
import { firstContact } from './grpc/first-contact.js';

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
const knownOptions: ReadonlySet<string> = new Set<keyof ConnectOptions>(['tracker', 'memoryBytes', 'signal']);
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
  // Nobody hands these to other calls too, and one that is misspelt would connect to a tracker that is not meant.
  const unknown = Object.keys(options).find((name) => !knownOptions.has(name));
  if (unknown !== undefined) {
    throw new HoldfastError('INVALID_ARGUMENT', `connect has no option ${JSON.stringify(unknown)}`, {
      remedy: `It has ${[...knownOptions].join(', ')}.`,
    });
  }
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 0) {
    throw new HoldfastError('INVALID_ARGUMENT', `memoryBytes must be a number of bytes, not ${memoryBytes}`);
  }
  const addresses = addressList.split(',').map((address) => checkAddress(address.trim()));
  const tools = { clock: systemClock, random: systemRandom };
  const { client, tracker } = composeClient({ ...tools, addresses, memoryBytes, transport: grpcTransport });
  try {
    await firstContact(tracker, addresses, { ...tools, signal });
  } catch (error) {
    client.close();
    throw error;
  }
  return client;
}
