/** Either end of one TCP connection over loopback: bytes one way, as fast as the kernel and Node's sockets go. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { serve } from '../children/serve.js';

/** As large as the product's messages. */
const writeBytes = 1024 * 1024;

let receivedBytes = 0;

const methods = {
  /** Takes connections on a port, which it resolves to, and drops what comes. */
  async receive(): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('data', (part) => (receivedBytes += part.length));
      // The answer that the sender waits for: everything was read.
      socket.on('end', () => socket.end());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
  async received(): Promise<number> {
    return receivedBytes;
  },
  /** Sends so many bytes; resolves when the other end has read the last. */
  async send(port: number, bytes: number): Promise<void> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    const ended = once(socket.resume(), 'end');
    const block = Buffer.alloc(writeBytes, 1);
    for (let left = bytes; left > 0; left -= block.length) {
      if (!socket.write(left < block.length ? block.subarray(0, left) : block)) await once(socket, 'drain');
    }
    socket.end();
    await ended;
  },
};
export type TcpMethods = typeof methods;
serve(methods);
