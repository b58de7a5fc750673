/** A peer that hangs. */
import { createServer } from 'node:net';

/** Takes connections and never speaks: a keeper that is frozen. */
export async function frozenPeer(): Promise<{ address: string; isAsked(): boolean; end(): void }> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${port}`,
    /** Whether somebody has come. */
    isAsked: () => sockets.size > 0,
    end: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
