/** A TCP proxy that makes loopback as long as a network: everything through it takes its time, both ways. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { serve } from '../children/serve.js';
import { joinSockets } from './delay-line.js';

const methods = {
  /** Opens a port (which it resolves to) that leads to another one, `oneWayMs` away. */
  async delay(targetPort: number, oneWayMs: number): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (near) => {
      joinSockets(near, connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true }), oneWayMs);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
};
export type ProxyMethods = typeof methods;
serve(methods);
