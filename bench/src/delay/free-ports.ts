/** Ports that are free now, for servers that have to be told where to listen. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

async function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  return once(server, 'listening').then(
    () => server,
    () => undefined, // taken
  );
}

/** The numbers of `count` free ports of loopback that follow one another. */
export async function freePorts(count: number): Promise<number[]> {
  for (;;) {
    const servers: Server[] = [];
    try {
      const start = await listenOn(0);
      if (!start) continue;
      servers.push(start);
      const { port } = start.address() as AddressInfo;
      const ports = Array.from({ length: count }, (_, index) => port + index);
      for (const next of ports.slice(1)) {
        const server = next > 65_535 ? undefined : await listenOn(next);
        if (server) servers.push(server);
      }
      if (servers.length === count) return ports;
    } finally {
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    }
  }
}
