/**
 * A gate before a server: connections pass through it, so that a test can cut them off or slow them down without the
 * server or its peers knowing. What a cut-off server's peers see is silence, as of a lost network, and not a closed
 * connection, as of a killed process: bytes wait, and so does news of an end.
 */
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** 'in' is what the server is sent, 'out' what it sends. */
type Way = 'in' | 'out';

/** What befalls what passes. Nothing of it, by default. */
export interface GateFault {
  /** Nothing passes this way, or neither way, and nobody is told. What waited passes on afterwards. */
  readonly silent?: Way | 'both' | undefined;
  /** How much longer everything takes: each part of at most 64 KiB, one after the other. */
  readonly delayMs?: number;
  /** How much passes each way of each connection, at most. */
  readonly bytesPerS?: number;
  /** Asked once for each connection: after so many bytes it is reset. 0: at once, and so are new ones. */
  readonly resetAfterBytes?: () => number;
  /** Asked once for each connection: whether it is one of those that the fault befalls. By default all are. */
  readonly befalls?: () => boolean;
}

interface Connection {
  readonly near: Socket;
  readonly far: Socket;
  isBefallen: boolean;
  leftBytes: number;
}

export class Gate {
  readonly #connections = new Set<Connection>();
  readonly #server: Server;
  /** HOST:PORT to pass connections on to; those that come before it is known are closed. */
  target: string | undefined;
  #fault: GateFault = {};
  #changed = deferred();
  #isClosed = false;

  constructor() {
    this.#server = createServer((near) => this.#pass(near));
  }

  /** What befalls what passes from now on. */
  get fault(): GateFault {
    return this.#fault;
  }

  set fault(fault: GateFault) {
    this.#fault = fault;
    for (const connection of this.#connections) this.#befall(connection);
    const changed = this.#changed;
    this.#changed = deferred();
    changed.resolve();
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

  /** Ends all connections, and listens no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { near, far } of this.#connections) {
      near.destroy();
      far.destroy();
    }
    this.#changed.resolve();
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
    const connection = { near, far, isBefallen: false, leftBytes: Infinity };
    this.#connections.add(connection);
    this.#befall(connection);
    // Either end takes the other with it.
    void Promise.race([this.#carry(connection, 'in'), this.#carry(connection, 'out')]).then(() => {
      near.destroy();
      far.destroy();
      this.#connections.delete(connection);
    });
  }

  /** Takes the fault that there is now to a connection. */
  #befall(connection: Connection): void {
    const { befalls, resetAfterBytes } = this.#fault;
    connection.isBefallen = befalls?.() ?? true;
    connection.leftBytes = (connection.isBefallen ? resetAfterBytes?.() : undefined) ?? Infinity;
    if (connection.leftBytes <= 0) reset(connection);
  }

  /** Carries what comes one way until one of the two ends, and the other one may know. Never rejects. */
  async #carry(connection: Connection, way: Way): Promise<void> {
    const [from, to] = way === 'in' ? [connection.near, connection.far] : [connection.far, connection.near];
    // Whatever it is, it ends the loop below, or the one of the other way.
    from.on('error', () => undefined);
    try {
      for await (const part of from as AsyncIterable<Buffer>) {
        await this.#take(connection, way, part.length);
        // One part at a time: a receiver that takes nothing stops the sender.
        await new Promise<void>((resolve) => void to.write(part, () => resolve()));
        if (to.destroyed) {
          // That is news of the other way.
          await this.#untilHeard(connection, way === 'in' ? 'out' : 'in');
          break;
        }
      }
      // What it wrote before it ended is still to come out.
      await new Promise<void>((resolve) => void to.end(() => resolve()));
    } catch {
      // The connection broke, which is an end as well.
    }
    await this.#untilHeard(connection, way);
  }

  /** Resolves when the bytes may pass on. */
  async #take(connection: Connection, way: Way, bytes: number): Promise<void> {
    const { delayMs = 0, bytesPerS = Infinity } = connection.isBefallen ? this.#fault : {};
    const takesMs = delayMs + (bytes / bytesPerS) * 1_000;
    if (takesMs > 0) await sleep(takesMs, undefined, { ref: false });
    await this.#untilHeard(connection, way);
    connection.leftBytes -= bytes;
    if (connection.leftBytes <= 0) reset(connection);
  }

  async #untilHeard(connection: Connection, way: Way): Promise<void> {
    const isSilent = (): boolean =>
      connection.isBefallen && (this.#fault.silent === 'both' || this.#fault.silent === way);
    while (isSilent() && !this.#isClosed) await this.#changed.promise;
  }
}

/** Both ends are told that the connection is no more. */
function reset({ near, far }: Connection): void {
  near.resetAndDestroy();
  far.resetAndDestroy();
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
