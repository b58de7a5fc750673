/**
 * Channels to peers. grpc-js has no connect timeout: a peer that accepts TCP and never speaks (a frozen
 * process) leaves a channel CONNECTING for ever, and neither backoff nor keepalive end that. So a channel here
 * is watched: after two deadlines in a row without any answer between them it is closed and a new one, with a
 * socket of its own, takes its place.
 */
import { type ChannelOptions, Client, credentials, status } from '@grpc/grpc-js';
import { limits } from '../limits.js';
import { partsOption } from './insides/parts.js';
import { flowControlWindowBytes } from './insides/server.js';

/** For calls that carry metadata. */
export const controlChannelOptions: ChannelOptions = {
  // Finds a dead peer in 20 s where the kernel would take 15 minutes.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  // A restarted server is back in milliseconds; the default backs off to 2 minutes.
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 5_000,
  // Channels of one address would share a socket otherwise, also the broken one.
  'grpc.use_local_subchannel_pool': 1,
  // Inside a cluster a proxy from the environment is always a mistake.
  'grpc.enable_http_proxy': 0,
  // Retries are ours: only we know what is idempotent.
  'grpc.enable_retries': 0,
  'grpc.max_receive_message_length': limits.maxControlMessageBytes,
  'grpc.max_send_message_length': limits.maxControlMessageBytes,
};

/** For calls that carry blocks, and others to the same servers. */
export const dataChannelOptions: ChannelOptions = {
  ...controlChannelOptions,
  // A peer whose event loop is busy with bytes answers pings late.
  'grpc.keepalive_timeout_ms': 20_000,
  // HTTP/2's 64 KiB window caps a stream at 9 MB/s at 4 ms of round trip.
  'grpc-node.flow_control_window': flowControlWindowBytes,
  [partsOption]: 1,
  // What fits into its buffer for retries grpc-js calls written at once, while it still waits for the connection:
  // memory that is used again after each write would change under a message on its way.
  'grpc.per_rpc_retry_buffer_size': 0,
  'grpc.max_receive_message_length': limits.maxDataMessageBytes,
  'grpc.max_send_message_length': limits.maxDataMessageBytes,
};

/** Two: one deadline may be one slow call. */
const silentDeadlinesBeforeRebuild = 2;

/** A channel to one address, for any service there, that is rebuilt when it has gone silent. */
export class PeerChannel {
  readonly address: string;
  readonly #options: ChannelOptions;
  #client: Client | undefined;
  #silentDeadlines = 0;
  #closed = false;

  constructor(address: string, options: ChannelOptions) {
    this.address = address;
    this.#options = options;
  }

  /** The client to call now. Ask for it for every call. */
  get client(): Client {
    if (this.#closed) throw new Error(`the channel to ${this.address} is closed`);
    this.#client ??= new Client(this.address, credentials.createInsecure(), this.#options);
    return this.#client;
  }

  /** Told how each call ended: undefined for success, else its gRPC status. */
  observe(outcome: status | undefined): void {
    if (outcome !== status.DEADLINE_EXCEEDED) {
      this.#silentDeadlines = 0;
      return;
    }
    this.#silentDeadlines += 1;
    if (this.#silentDeadlines < silentDeadlinesBeforeRebuild) return;
    this.#silentDeadlines = 0;
    this.#client?.close();
    this.#client = undefined;
  }

  close(): void {
    this.#closed = true;
    this.#client?.close();
    this.#client = undefined;
  }
}

/** Channels by address, at most `max` of them; the one that was used least lately makes room. */
export class ChannelPool {
  readonly #options: ChannelOptions;
  readonly #max: number;
  readonly #channels = new Map<string, PeerChannel>();

  constructor(options: ChannelOptions, max = 1_000) {
    this.#options = options;
    this.#max = max;
  }

  get(address: string): PeerChannel {
    const channel = this.#channels.get(address) ?? new PeerChannel(address, this.#options);
    // A Map keeps the order of insertion: taken out and put in again means used last.
    this.#channels.delete(address);
    this.#channels.set(address, channel);
    if (this.#channels.size > this.#max) {
      const [oldest] = this.#channels.keys();
      if (oldest !== undefined) this.#drop(oldest);
    }
    return channel;
  }

  close(): void {
    for (const address of [...this.#channels.keys()]) this.#drop(address);
  }

  #drop(address: string): void {
    this.#channels.get(address)?.close();
    this.#channels.delete(address);
  }
}
