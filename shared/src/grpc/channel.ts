/**
 * Channels to peers. grpc-js has no connect timeout: a peer that accepts TCP and never speaks (a frozen
 * process) leaves a connection CONNECTING for ever, and neither backoff nor keepalive end that. So connections here
 * are watched: after two deadlines in a row without any answer between them new ones take their place.
 */
import type { ChannelOptions, Deadline } from '@grpc/grpc-js';
import { HoldfastError } from '../errors/index.js';
import { limits } from '../limits.js';
import { letsGoOption } from './insides/closing.js';
import { partsOption } from './insides/parts.js';
import { flowControlWindowBytes } from './insides/server.js';
import { type CallStarter, type Transport, grpcTransport } from './transport.js';

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
  [letsGoOption]: 1,
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
  // A burst leaves connections behind that nobody needs; opening one again costs a round trip.
  'grpc.client_idle_timeout_ms': 60_000,
  'grpc.keepalive_permit_without_calls': 0,
  // What fits into its buffer for retries grpc-js calls written at once, while it still waits for the connection:
  // memory that is used again after each write would change under a message on its way.
  'grpc.per_rpc_retry_buffer_size': 0,
  'grpc.max_receive_message_length': limits.maxDataMessageBytes,
  'grpc.max_send_message_length': limits.maxDataMessageBytes,
};

/**
 * How many connections to one peer carry blocks. Streams that share one come frame by frame in turns, so that what
 * is read from the socket belongs to several messages and has to be copied apart (insides/parts.ts): with one each a
 * peer takes in 1.7 times as much a second. Enough for what one client moves at a time; each costs its peer a socket.
 */
export const dataConnections = 16;

/** Two: one deadline may be one slow call. */
const silentDeadlinesBeforeRebuild = 2;

interface Connection {
  readonly client: CallStarter;
  calls: number;
  silentDeadlines: number;
}

/** What a call's end says about the peer. That it was cancelled here says nothing. */
export type SignOfLife = 'alive' | 'silent' | 'none';

/** One call's place on a channel. */
export interface CallSlot {
  readonly client: CallStarter;
  /** When a call that starts now has to be over. */
  deadlineIn(durationMs: number): Deadline;
  /** To be called once, whatever became of the call. */
  ended(sign: SignOfLife): void;
}

/** A channel to one address, for any service there, that is rebuilt when it has gone silent. */
export class PeerChannel {
  readonly address: string;
  readonly #options: ChannelOptions;
  readonly #maxConnections: number;
  readonly #transport: Transport;
  #connections: Connection[] = [];
  #silentDeadlines = 0;
  #closed = false;

  /** @param maxConnections how many calls can have a connection to themselves */
  constructor(address: string, options: ChannelOptions, maxConnections = 1, transport = grpcTransport) {
    this.address = address;
    this.#options = options;
    this.#maxConnections = maxConnections;
    this.#transport = transport;
  }

  /** A place for one call: on a connection without any if there may be one, else on the one with the fewest. */
  begin(): CallSlot {
    if (this.#closed) throw closedError();
    const connection = this.#leastBusy();
    connection.calls += 1;
    return {
      client: connection.client,
      deadlineIn: (durationMs) => this.#transport.deadlineIn(durationMs),
      ended: (sign) => {
        connection.calls -= 1;
        // A call of a connection that is closed already says nothing about those that took its place.
        if (this.#connections.includes(connection)) this.#observe(sign, connection);
      },
    };
  }

  #leastBusy(): Connection {
    // The first of equals: those at the end go idle, and grpc-js lets go of them.
    const [least] = [...this.#connections].sort((a, b) => a.calls - b.calls);
    if (least && (least.calls === 0 || this.#connections.length >= this.#maxConnections)) return least;
    const added = {
      client: this.#transport.open(this.address, this.#options),
      calls: 0,
      silentDeadlines: 0,
    };
    this.#connections.push(added);
    return added;
  }

  /** Rebuilds a connection that is silent while others are not, or all of them when the peer is. */
  #observe(sign: SignOfLife, connection: Connection): void {
    if (sign === 'none') return;
    const after = (deadlines: number): number => (sign === 'silent' ? deadlines + 1 : 0);
    this.#silentDeadlines = after(this.#silentDeadlines);
    connection.silentDeadlines = after(connection.silentDeadlines);
    if (this.#silentDeadlines >= silentDeadlinesBeforeRebuild) this.#closeConnections(this.#connections);
    else if (connection.silentDeadlines >= silentDeadlinesBeforeRebuild) this.#closeConnections([connection]);
  }

  close(): void {
    this.#closed = true;
    this.#closeConnections(this.#connections);
  }

  #closeConnections(closed: readonly Connection[]): void {
    if (closed.length === this.#connections.length) this.#silentDeadlines = 0;
    this.#connections = this.#connections.filter((connection) => !closed.includes(connection));
    for (const { client } of closed) client.close();
  }
}

/** Nothing is opened anew behind the back of whoever closed it, and repeating does not help. */
function closedError(): HoldfastError {
  return new HoldfastError('UNAVAILABLE', 'the connection was closed by this program', {
    retryable: false,
    remedy: 'Connect again.',
  });
}

/** Channels by address, at most `max` of them; the one that was used least lately makes room. */
export class ChannelPool {
  readonly #options: ChannelOptions;
  readonly #maxConnections: number;
  readonly #transport: Transport;
  readonly #max: number;
  readonly #channels = new Map<string, PeerChannel>();
  #closed = false;

  /** @param maxConnections to each address; see PeerChannel */
  constructor(options: ChannelOptions, maxConnections = 1, transport = grpcTransport, max = 1_000) {
    this.#options = options;
    this.#maxConnections = maxConnections;
    this.#transport = transport;
    this.#max = max;
  }

  /** @throws HoldfastError UNAVAILABLE, and not retryable, when the pool is closed */
  get(address: string): PeerChannel {
    if (this.#closed) throw closedError();
    const channel =
      this.#channels.get(address) ??
      new PeerChannel(address, this.#options, this.#maxConnections, this.#transport);
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
    this.#closed = true;
    for (const address of [...this.#channels.keys()]) this.#drop(address);
  }

  #drop(address: string): void {
    this.#channels.get(address)?.close();
    this.#channels.delete(address);
  }
}
