/** HTTP/2 frames by hand, over a socket of its own: also such as no library would send. */
import { type Socket, connect } from 'node:net';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

const types = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const flags = { endStream: 1, acknowledged: 1, endHeaders: 4 } as const;

export function frame(
  type: keyof typeof types,
  flag: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(types[type], 3);
  head.writeUInt8(flag, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const rest: number[] = [];
  let left = bytes.length - 127;
  for (; left > 0x7f; left = left >>> 7) rest.push((left & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([127, ...rest, left]), bytes]);
}

/** A header block of literals that are not remembered. */
export function headerBlock(headers: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

/** What a gRPC call begins with. */
export function callHeaders(
  path: string,
  more: Readonly<Record<string, string>> = {},
): (readonly [string, string])[] {
  const usual = {
    ...{ ':method': 'POST', ':scheme': 'http', ':path': path, ':authority': 'somebody' },
    ...{ te: 'trailers', 'content-type': 'application/grpc' },
  };
  return Object.entries({ ...usual, ...more }).filter(([, value]) => value !== '');
}

/** A gRPC message with its prefix. */
export function grpcFrame(message: Buffer, { flag = 0, length = message.length } = {}): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag, 0);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** A connection that takes whatever is written to it. Errors are what the other side does about it. */
export class RawConnection {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  receivedBytes = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.on('data', (data) => (this.receivedBytes += data.length));
  }

  static async open(address: string): Promise<RawConnection> {
    const cut = address.lastIndexOf(':');
    const socket = connect({ host: address.slice(0, cut), port: Number(address.slice(cut + 1)) });
    const connection = new RawConnection(socket);
    await Promise.race([
      new Promise<void>((resolve) => socket.once('connect', () => resolve())),
      connection.closed,
    ]);
    return connection;
  }

  /** A connection on which HTTP/2 has begun. */
  static async begun(address: string): Promise<RawConnection> {
    const connection = await RawConnection.open(address);
    await connection.write(preface, frame('settings', 0, 0));
    return connection;
  }

  /** Resolves when the kernel has the bytes, or nobody takes any. */
  async write(...parts: readonly Buffer[]): Promise<void> {
    if (this.socket.destroyed) return;
    await Promise.race([
      new Promise<void>((resolve) => this.socket.write(Buffer.concat(parts), () => resolve())),
      this.closed,
    ]);
  }

  close(): void {
    this.socket.destroy();
  }
}
