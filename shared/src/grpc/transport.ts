/**
 * How calls get from one process to another, as a port: gRPC over sockets in production, messages on virtual time in
 * a simulation. Above it everything is the same: definitions and their serialisers, handlers, deadlines, errors.
 */
import { type ChannelOptions, Client, type Deadline, type Server, credentials } from '@grpc/grpc-js';
import { patchClosing } from './insides/closing.js';
import { cutOff } from './insides/server.js';
import { type ServerOptions, createServer, listen, shutDown } from './server.js';

/** What starts calls to one address. */
export type CallStarter = Pick<
  Client,
  'makeUnaryRequest' | 'makeClientStreamRequest' | 'makeServerStreamRequest' | 'close'
>;

/** A server that takes services before it listens. */
export interface TransportServer {
  readonly addService: Server['addService'];
  /**
   * Binds to HOST:PORT (port 0: any free one) and resolves to the address it really has.
   *
   * @throws HoldfastError ADDRESS_IN_USE, INVALID_ARGUMENT
   */
  listen(address: string): Promise<string>;
  /** Lets running calls end for up to `graceMs`, then cuts them. Resolves when the port is free. */
  shutDown(graceMs: number): Promise<void>;
  /** Ends every call with CANCELLED, now. */
  forceShutdown(): void;
  /** Ends as a killed process does: callers see a broken connection and no status. */
  cutOff(): void;
}

export interface Transport {
  /** Something to call HOST:PORT with. Connects when it is first used. */
  open(address: string, options: ChannelOptions): CallStarter;
  /** When a call that starts now and may take `durationMs` has to be over, as `open`'s calls count time. */
  deadlineIn(durationMs: number): Deadline;
  createServer(options: ServerOptions): TransportServer;
}

/** gRPC over HTTP/2 and TCP. */
export const grpcTransport: Transport = {
  open: (address, options) => {
    patchClosing();
    const client = new Client(address, credentials.createInsecure(), options);
    const close = client.close.bind(client);
    client.close = () => {
      close();
      // A call of the same turn of the event loop has its address only now, and a connection that would stay.
      setImmediate(close);
    };
    return client;
  },
  // It is sent as a duration, so a wrong clock harms nobody.
  deadlineIn: (durationMs) => new Date(Date.now() + durationMs),
  createServer: (options) => {
    const server = createServer(options);
    return {
      addService: server.addService.bind(server),
      listen: (address) => listen(server, address),
      shutDown: (graceMs) => shutDown(server, graceMs),
      forceShutdown: () => server.forceShutdown(),
      cutOff: () => cutOff(server),
    };
  },
};
