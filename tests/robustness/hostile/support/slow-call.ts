/** A caller that is right in all but its speed: nothing that it sends can be told from a bad line. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  connect,
} from 'node:http2';
import { readFile } from 'node:fs/promises';
import { callHeaders, grpcFrame } from './frames.js';

const byteMs = 1_000;

/** A call whose message comes a byte a second. Longer in seconds than its test takes, it is never over. */
export class SlowCall {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #timer: NodeJS.Timeout;
  readonly #ports: { readonly near: number; readonly far: number };
  #sentBytes = 0;
  #status: string | undefined;

  private constructor(session: ClientHttp2Session, path: string, message: Buffer) {
    const { localPort = 0, remotePort = 0 } = session.socket;
    this.#ports = { near: localPort, far: remotePort };
    this.#session = session;
    this.#stream = session.request(Object.fromEntries(callHeaders(path)), { endStream: false });
    this.#stream.on('error', () => undefined);
    const take = (said: IncomingHttpHeaders): void => {
      this.#status ??= said['grpc-status']?.toString();
    };
    this.#stream.on('response', take).on('trailers', take);
    this.#stream.on('close', () => (this.#status ??= `reset ${this.#stream.rstCode}`));
    this.#stream.resume();
    const bytes = grpcFrame(message);
    this.#timer = setInterval(() => {
      if (this.#stream.writable) this.#stream.write(bytes.subarray(this.#sentBytes, ++this.#sentBytes));
    }, byteMs);
  }

  static async open(address: string, path: string, message: Buffer): Promise<SlowCall> {
    const session = connect(`http://${address}`);
    await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
    session.on('error', () => undefined);
    return new SlowCall(session, path, message);
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** What the server ended it with: gRPC's number, or "reset N" without one; undefined while it is open. */
  get status(): string | undefined {
    return this.#status;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#session.destroy();
  }

  /** Whether the server has a socket for it, by the kernel's list; false where there is none. */
  async isHeld(): Promise<boolean> {
    const lines = (await readFile('/proc/net/tcp', 'utf8').catch(() => '')).split('\n');
    const { near, far } = this.#ports;
    return lines.some((line) => {
      const [, local, remote, state] = line.trim().split(/\s+/);
      return portOf(local) === far && portOf(remote) === near && state !== timeWait;
    });
  }
}

/** Nobody has the socket any more; the kernel alone remembers its number. */
const timeWait = '06';

function portOf(address = ''): number {
  return Number.parseInt(address.slice(address.indexOf(':') + 1), 16);
}
