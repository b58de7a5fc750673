/**
 * Lets go of a connection that is being made when its channel is closed. grpc-js forgets it and leaves the socket to the
 * kernel, which asks a machine that has vanished for two minutes, and for as long keeps the process alive: a command
 * that has said that it is done did not end, nor a program that has closed its client.
 */
import { createRequire } from 'node:module';

/** Of a channel's options: 1 for this. */
export const lettingGoOption = 'holdfast.letting_go_of_connecting';

/** What grpc-js asks to make a socket safe, one for each address of a channel; destroyed with the channel. */
interface SecureConnector {
  connect(socket: unknown): Promise<unknown>;
  destroy(): void;
}

interface ConnectorPrototype {
  connect(
    address: object,
    secureConnector: SecureConnector,
    options: Readonly<Record<string, unknown>>,
  ): Promise<unknown>;
}

let isPatched = false;

/** Connections are made deep inside, so their class is patched, once for the process. */
export function patchConnecting(): void {
  if (isPatched) return;
  isPatched = true;
  try {
    const require = createRequire(import.meta.url);
    const { Http2SubchannelConnector } = require('@grpc/grpc-js/build/src/transport.js') as {
      Http2SubchannelConnector: { prototype: ConnectorPrototype };
    };
    patch(Http2SubchannelConnector.prototype);
  } catch {
    // Another layout of grpc-js: the kernel's patience is the process's.
  }
}

function patch(prototype: ConnectorPrototype): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the connector as `this` below
  const { connect } = prototype;
  prototype.connect = function (address, secureConnector, options) {
    if (options[lettingGoOption] !== 1) return connect.call(this, address, secureConnector, options);
    const unwanted = new AbortController();
    const watched: SecureConnector = Object.assign(Object.create(secureConnector) as SecureConnector, {
      connect(socket: unknown) {
        // From here on it is grpc-js that ends the connection, when the last call on it has ended.
        secureConnector.destroy = destroy;
        return secureConnector.connect(socket);
      },
    });
    const destroy = secureConnector.destroy.bind(secureConnector);
    secureConnector.destroy = () => {
      unwanted.abort();
      destroy();
    };
    // It is what net.connect is given.
    return connect.call(this, { ...address, signal: unwanted.signal }, watched, options);
  };
}
