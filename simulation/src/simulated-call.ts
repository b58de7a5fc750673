/** One call of the simulated network: what each side sees of it, as grpc-js shows it. */
import { EventEmitter } from 'node:events';
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import type { SimulatedProcess } from './simulated-process.js';

/** What HTTP/2 takes of a side before the other reads. */
const windowBytes = 4 * 1024 * 1024;
/** When keepalive finds out that a link is cut; see controlChannelOptions. */
const keepaliveMs = 20_000;

export function statusOf(code: status, details: string): StatusObject {
  return { code, details, metadata: new Metadata() };
}

function statusError(end: StatusObject): Error {
  return Object.assign(new Error(`${end.code} ${end.details}`), end);
}

/** What moves a message from one process to another; `deliver` runs there if it arrives, `lost` if it does not. */
export interface Wire {
  send(
    call: SimulatedCall,
    to: 'client' | 'server',
    sizeBytes: number,
    deliver: () => void,
    lost: () => void,
  ): void;
}

/** Messages that came and wait to be read: a stream as far as handlers and callers use one. */
class Inbox extends EventEmitter implements AsyncIterable<unknown> {
  readonly #onRead: (sizeBytes: number) => void;
  readonly #waiting: { readonly message: unknown; readonly sizeBytes: number }[] = [];
  #end: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(onRead: (sizeBytes: number) => void) {
    super();
    this.#onRead = onRead;
  }

  put(message: unknown, sizeBytes: number): void {
    if (this.#end) return;
    this.#waiting.push({ message, sizeBytes });
    this.#wake?.();
  }

  /** After what waits; with an error at once. */
  end(error?: unknown): void {
    if (this.#end) return;
    this.#end = error === undefined ? {} : { error };
    if (error !== undefined) this.#waiting.length = 0;
    this.#wake?.();
  }

  destroy(): void {
    this.end(new Error('Premature close'));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) {
        this.#onRead(next.sizeBytes);
        yield next.message;
      } else if (this.#end) {
        if ('error' in this.#end) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = undefined;
      }
    }
  }
}

/** Messages of one direction, with as many bytes on their way as the window allows. */
class Outbox {
  readonly #send: (message: unknown, sizeBytes: number) => void;
  #roomBytes = windowBytes;
  #waiting: { readonly message: unknown; readonly sizeBytes: number; readonly taken: () => void }[] = [];

  constructor(send: (message: unknown, sizeBytes: number) => void) {
    this.#send = send;
  }

  /** `taken` is called when the message is on its way. */
  write(message: unknown, sizeBytes: number, taken: () => void): void {
    this.#waiting.push({ message, sizeBytes, taken });
    this.#pump();
  }

  /** The other side has read so much. */
  credit(sizeBytes: number): void {
    this.#roomBytes += sizeBytes;
    this.#pump();
  }

  #pump(): void {
    for (let next = this.#waiting[0]; next && this.#roomBytes > 0; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#roomBytes -= next.sizeBytes;
      this.#send(next.message, next.sizeBytes);
      next.taken();
    }
  }
}

export class SimulatedCall {
  readonly path: string;
  readonly serverName: string;
  readonly client: SimulatedProcess;
  /** From the first message on that arrived there. */
  server: SimulatedProcess | undefined;
  /** When the last message of each direction arrives: none overtakes another of its call. */
  readonly lastArrivalMs = { client: 0, server: 0 };
  /** Messages to the server and to the client that wait to be read there. */
  readonly atServer: Inbox;
  readonly atClient: Inbox;
  readonly toServer: Outbox;
  readonly toClient: Outbox;
  /** What the handler listens to. */
  readonly serverSide = new EventEmitter();
  readonly #wire: Wire;
  readonly #cancelDeadline: () => void;
  readonly #onClientEnded: (end: StatusObject) => void;
  readonly #onOver: (call: SimulatedCall) => void;
  /** Whoever it reached never does anything about it, nor about what else belongs to it. */
  isTaken = false;
  /** Sides to which all that is sent is lost, from the first loss on: no stream goes on behind a gap. */
  readonly losesTo = new Set<'client' | 'server'>();
  /** What each side takes to find a loss out. */
  lossFoundMs = keepaliveMs;
  #onClientEnd: (end: StatusObject, answer: Buffer | undefined) => void = () => undefined;
  #clientEnded = false;
  #serverEnded = false;
  #severed = false;

  constructor(options: {
    readonly wire: Wire;
    readonly client: SimulatedProcess;
    readonly address: string;
    readonly path: string;
    readonly deadlineMs: number;
    /** Told how it ended for the caller. */
    readonly onClientEnded: (end: StatusObject) => void;
    /** Told when neither side has anything to do with it any more. */
    readonly onOver: (call: SimulatedCall) => void;
  }) {
    const { wire, client, address, path, deadlineMs, onClientEnded, onOver } = options;
    this.#wire = wire;
    this.client = client;
    this.serverName = address.slice(0, address.indexOf(':'));
    this.path = path;
    this.#onClientEnded = onClientEnded;
    this.#onOver = onOver;
    this.atServer = new Inbox((size) => this.send('client', 0, () => this.toServer.credit(size)));
    this.atClient = new Inbox((size) => this.send('server', 0, () => this.toClient.credit(size)));
    this.toServer = new Outbox((message, size) =>
      this.send('server', size, () => this.atServer.put(message, size)),
    );
    this.toClient = new Outbox((message, size) =>
      this.send('client', size, () => this.atClient.put(message, size)),
    );
    this.#cancelDeadline = client.after(deadlineMs, () => {
      this.endClient(statusOf(status.DEADLINE_EXCEEDED, 'the deadline passed'));
      this.#tellServer();
    });
  }

  /** Whether a side still has something to do with it. */
  get clientEnded(): boolean {
    return this.#clientEnded;
  }

  get serverEnded(): boolean {
    return this.#serverEnded;
  }

  /** Whether a side that lives has something to do with it. */
  get isOpen(): boolean {
    return (this.client.alive && !this.#clientEnded) || (this.server?.alive === true && !this.#serverEnded);
  }

  send(to: 'client' | 'server', sizeBytes: number, deliver: () => void): void {
    this.#wire.send(
      this,
      to,
      sizeBytes,
      () => {
        if (!(to === 'client' ? this.#clientEnded : this.#serverEnded)) deliver();
      },
      () => {
        this.losesTo.add(to);
        this.sever();
      },
    );
  }

  onClientEnd(listener: (end: StatusObject, answer: Buffer | undefined) => void): void {
    this.#onClientEnd = listener;
  }

  /** The caller gives up. */
  cancel(): void {
    if (this.#clientEnded) return;
    this.endClient(statusOf(status.CANCELLED, 'cancelled'));
    this.#tellServer();
  }

  endClient(end: StatusObject, answer?: Buffer): void {
    if (this.#clientEnded) return;
    this.#clientEnded = true;
    this.#cancelDeadline();
    if (end.code === status.OK) this.atClient.end();
    else this.atClient.end(statusError(end));
    this.#onClientEnded(end);
    this.#onClientEnd(end, answer);
    this.#checkOver();
  }

  /** The server's answer, on its way. */
  respond(end: StatusObject, answer?: Buffer): void {
    if (this.#serverEnded) return;
    this.#serverEnded = true;
    this.send('client', answer?.length ?? 0, () => this.endClient(end, answer));
    this.#checkOver();
  }

  /** The server learns that the caller is gone. */
  endServer(): void {
    if (this.#serverEnded) return;
    this.#serverEnded = true;
    this.atServer.destroy();
    this.serverSide.emit('cancelled', 'cancelled');
    this.#checkOver();
  }

  /** The caller learns that the server's side of the connection is gone. */
  breakOff(): void {
    const broken = statusOf(status.UNAVAILABLE, 'the connection broke');
    this.send('client', 0, () => this.endClient(broken));
  }

  /** The server ends it without an answer, and goes on. */
  cutOff(): void {
    this.breakOff();
    this.endServer();
  }

  #tellServer(): void {
    this.send('server', 0, () => this.endServer());
  }

  /** Something was lost: nobody is told, and each side finds out by itself. */
  sever(): void {
    if (this.#severed) return;
    this.#severed = true;
    this.client.after(this.lossFoundMs, () =>
      this.endClient(statusOf(status.UNAVAILABLE, 'keepalive timed out')),
    );
    this.server?.after(this.lossFoundMs, () => this.endServer());
  }

  #checkOver(): void {
    if (this.#clientEnded && (this.#serverEnded || !this.server)) this.#onOver(this);
  }
}
