/**
 * Lets go of the connections of a channel that is closed, where grpc-js leaves them to the kernel, which keeps the process
 * alive meanwhile: a command that has said that it is done did not end, nor a program that has closed its client. The
 * kernel asks a machine that has vanished for two minutes for a connection, and offers it what was written for a quarter
 * of an hour: for as long waits a session that was closed, even when it is destroyed afterwards.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

/** Of a channel's options: 1 for this. */
export const letsGoOption = 'holdfast.lets_go_of_connections';

/**
 * How long at least a connection that was closed has for its last words after its last call has ended. They are of no use
 * but to a peer that takes them at once.
 */
const lastWordsMs = 500;

/** What grpc-js asks to make a socket safe, one for each address of a channel; destroyed with the channel. */
interface SecureConnector {
  connect(socket: Socket): Promise<unknown>;
  destroy(): void;
}

/** A connection that was made. */
interface Connection {
  readonly activeCalls: unknown;
  shutdown(): void;
}

/** That this was done, by whichever copy of this file: grpc-js may be shared by several. */
const isPatched = Symbol.for('holdfast.lets_go_of_connections');

interface ConnectorPrototype {
  [isPatched]?: true;
  connect(
    address: object,
    secureConnector: SecureConnector,
    options: Readonly<Record<string, unknown>>,
  ): Promise<Connection>;
}

/** Connections are made deep inside, so their class is patched, once for the process. */
export function patchClosing(): void {
  try {
    const require = createRequire(import.meta.url);
    const { Http2SubchannelConnector } = require('@grpc/grpc-js/build/src/transport.js') as {
      Http2SubchannelConnector: { prototype: ConnectorPrototype };
    };
    const { prototype } = Http2SubchannelConnector;
    if (prototype[isPatched]) return;
    patch(prototype);
    prototype[isPatched] = true;
  } catch {
    // Another layout of grpc-js: the kernel's patience is the process's.
  }
}

function patch(prototype: ConnectorPrototype): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the connector as `this` below
  const { connect } = prototype;
  prototype.connect = async function (address, secureConnector, options) {
    if (options[letsGoOption] !== 1) return connect.call(this, address, secureConnector, options);
    const unwanted = new AbortController();
    let made: Socket | undefined;
    const watched: SecureConnector = Object.assign(Object.create(secureConnector) as SecureConnector, {
      connect(socket: Socket) {
        made = socket;
        return secureConnector.connect(socket);
      },
    });
    const attempts = attemptsOf(secureConnector);
    // A subchannel that was waiting for its next attempt makes it also when its channel was closed meanwhile.
    if (attempts.areOver) throw new Error('the channel was closed');
    attempts.unwanted.add(unwanted);
    try {
      // The signal is for net.connect, which ends a socket by it also when its peer has not spoken yet.
      const connection = await connect.call(this, { ...address, signal: unwanted.signal }, watched, options);
      // From here on it is grpc-js that shuts the connection down, and waits for the calls that are on it.
      if (made) endWith(connection, made);
      return connection;
    } finally {
      attempts.unwanted.delete(unwanted);
    }
  };
}

/** The connections that are being made for an address; they are let go of when the channel is closed. */
interface Attempts {
  readonly unwanted: Set<AbortController>;
  areOver: boolean;
}

const attemptsByConnector = new WeakMap<SecureConnector, Attempts>();

function attemptsOf(secureConnector: SecureConnector): Attempts {
  const known = attemptsByConnector.get(secureConnector);
  if (known) return known;
  const attempts: Attempts = { unwanted: new Set(), areOver: false };
  attemptsByConnector.set(secureConnector, attempts);
  const destroy = secureConnector.destroy.bind(secureConnector);
  secureConnector.destroy = () => {
    attempts.areOver = true;
    for (const each of attempts.unwanted) each.abort();
    destroy();
  };
  return attempts;
}

/** Ends the socket when grpc-js has shut the connection down and no call is on it any more. */
function endWith(connection: Connection, socket: Socket): void {
  const { activeCalls } = connection;
  // Another layout of grpc-js.
  if (!(activeCalls instanceof Set)) return;
  const shutdown = connection.shutdown.bind(connection);
  connection.shutdown = () => {
    shutdown();
    if (socket.destroyed) return;
    let wasIdle = false;
    const look = setInterval(() => {
      const isIdle = activeCalls.size === 0;
      if (isIdle && wasIdle) socket.destroy();
      wasIdle = isIdle;
    }, lastWordsMs).unref();
    socket.once('close', () => clearInterval(look));
  };
}
