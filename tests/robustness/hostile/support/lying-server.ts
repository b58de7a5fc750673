/**
 * A server between a real one and those who call it: every call goes on to the real one, and what comes back is the truth
 * or what somebody makes of it.
 */
import { Metadata, Server, ServerCredentials, type StatusObject, status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Method } from './contract.js';
import { openRaw } from './raw-calls.js';

/** How one call is answered otherwise than it should be. */
export interface Lie {
  /** For people. */
  readonly name: string;
  /** Ends the call at once; nobody is asked. */
  readonly refusal?: StatusObject;
  /** What is said in the place of the answer's message `index`; none, one or several. */
  readonly say?: (truth: Buffer, index: number) => readonly Buffer[];
  /** From this message on nothing is said any more, and the call does not end. */
  readonly silentAfter?: number;
  /** After this message the call ends as if all had been said. */
  readonly endAfter?: number;
  /** Said again and again in the place of an end, given the last message. */
  readonly forEver?: (last: Buffer) => Buffer;
}

/** Whoever decides what is made of the truth. */
export interface Liar {
  /** What becomes of a call; undefined if it is answered truly. */
  lieFor(method: Method): Lie | undefined;
  /** Every true message goes through here first, told as a lie or not. */
  localise(method: Method, truth: Buffer): Buffer;
}

type RawCall = ServerDuplexStream<Buffer, Buffer>;

const plain = (bytes: Buffer): Buffer => bytes;
/** Longer than any call of a test. */
const deadlineMs = 120_000;

export class LyingServer {
  readonly #server: Server;
  readonly #upstream: ReturnType<typeof openRaw>;
  readonly #liar: Liar;
  /** HOST:PORT. */
  readonly address: string;

  private constructor(server: Server, upstream: ReturnType<typeof openRaw>, liar: Liar, port: number) {
    this.#server = server;
    this.#upstream = upstream;
    this.#liar = liar;
    this.address = `127.0.0.1:${port}`;
  }

  /** @param behind HOST:PORT of the real server */
  static async start(behind: string, methods: readonly Method[], liar: Liar): Promise<LyingServer> {
    const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
    // On the wire a call with one message is a stream of one.
    for (const method of methods) {
      server.register(method.path, (call: RawCall) => lying.#answer(method, call), plain, plain, 'bidi');
    }
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    const lying = new LyingServer(server, openRaw(behind), liar, port);
    return lying;
  }

  stop(): void {
    this.#server.forceShutdown();
    this.#upstream.close();
  }

  #answer(method: Method, call: RawCall): void {
    call.on('error', () => undefined);
    const lie = this.#liar.lieFor(method);
    if (lie?.refusal) {
      call.resume();
      call.emit('error', lie.refusal);
      return;
    }
    const deadline = Date.now() + deadlineMs;
    const real = this.#upstream.makeBidiStreamRequest<Buffer, Buffer>(
      ...([method.path, plain, plain, new Metadata(), { deadline }] as const),
    );
    real.on('error', () => undefined);
    call.on('data', (message: Buffer) => real.write(message)).on('end', () => real.end());
    call.once('cancelled', () => real.cancel());
    let index = 0;
    let last: Buffer = Buffer.alloc(0);
    let isOver = false;
    const end = (): void => {
      isOver = true;
      if (!lie?.forEver) call.end();
      else void repeat(call, lie.forEver(last));
    };
    real.on('data', (answer: Buffer) => {
      if (isOver || call.cancelled) return;
      const truth = this.#liar.localise(method, answer);
      last = truth;
      if (lie?.silentAfter !== undefined && index >= lie.silentAfter) return;
      const said = lie?.say ? lie.say(truth, index) : [truth];
      index += 1;
      for (const message of said) {
        if (call.write(message)) continue;
        real.pause();
        call.once('drain', () => real.resume());
      }
      if (lie?.endAfter === index) end();
    });
    real.on('status', ({ code, details, metadata }: StatusObject) => {
      if (isOver || call.cancelled || (lie?.silentAfter !== undefined && index >= lie.silentAfter)) return;
      if (code === status.OK) end();
      else call.emit('error', { code, details, metadata });
    });
  }
}

/** As fast as it is taken, until nobody takes it any more. */
async function repeat(call: RawCall, message: Buffer): Promise<void> {
  while (!call.cancelled && !call.destroyed) {
    const hasRoom = call.write(message);
    await new Promise<void>((resolve) => {
      if (hasRoom) setImmediate(resolve);
      else {
        call.once('drain', resolve);
        call.once('cancelled', resolve);
        call.once('close', resolve);
      }
    });
  }
}
