/**
 * A gate before a server of this process: connections pass through it, so that a test can cut them off or slow them
 * down without the server or its peers knowing. What a cut-off server's peers see is silence, as of a lost network, and
 * not a closed connection, as of a killed process.
 */
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { pipeline } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export class Gate {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  /** HOST:PORT to pass connections on to; those that come before it is known are closed. */
  target: string | undefined;
  /** How long everything that passes takes longer: each part of at most 64 KiB, one after the other. */
  delayMs = 0;
  #opened: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;

  constructor() {
    this.#server = createServer((near) => this.#pass(near));
  }

  /** Listens on HOST:PORT, 0 for any free one; the address that it has then. @throws Error EADDRINUSE */
  async listen(address: string): Promise<string> {
    const host = address.slice(0, address.lastIndexOf(':'));
    const port = Number(address.slice(host.length + 1));
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    return `${host}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on nothing passes, and nobody is told, until `open`. */
  shut(): void {
    this.#open();
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** What waited passes on. */
  open(): void {
    this.#open();
  }

  /** Ends all connections, and listens no more. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    this.open();
    await closed;
  }

  #pass(near: Socket): void {
    if (this.target === undefined) {
      near.destroy();
      return;
    }
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(this.target) ?? [];
    const far = connect({ host, port: Number(port), noDelay: true });
    near.setNoDelay(true);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    }
    const throttle = (parts: AsyncIterable<Buffer>): AsyncGenerator<Buffer> => this.#throttle(parts);
    // Either end takes the other with it.
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    pipeline(near, throttle, far, end);
    pipeline(far, throttle, near, end);
  }

  async *#throttle(parts: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const part of parts) {
      if (this.delayMs > 0) await sleep(this.delayMs, undefined, { ref: false });
      await this.#opened;
      yield part;
    }
  }
}
