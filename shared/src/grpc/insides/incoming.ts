/**
 * What comes in before a handler sees it, and what grpc-js makes of it by itself. Hooks into each call as it begins; a
 * call that is not made as expected stays as it was, and the tests fail.
 *
 * The failures it answers: messages that are never finished, a hundred on each of many connections, fill the memory
 * (S10: each may be 16 MiB, and grpc-js keeps what has come); and nonsense is answered with INTERNAL.
 */
import type { ServerInterceptingCall, ServerInterceptor } from '@grpc/grpc-js';
import type { Http2Stream } from 'node:http2';
import { type Decoder, watchDecoder } from './parts.js';

/** As grpc-js hands it on. */
interface CallInsides<Status> {
  decoder: Decoder;
  sendStatus(status: Status): void;
  handleEndEvent(): void;
  readonly stream: Http2Stream;
}

export interface IncomingOptions<Status> {
  /** How many bytes of unfinished messages are kept, of all calls of a server together. */
  readonly maxWaitingBytes: number;
  /** What is said to a call that has to make room for others. */
  readonly crowdedOut: () => Status;
  /** What is said to a call that ends within a message. */
  readonly cutOff: () => Status;
  /** Every status that is sent goes through this. */
  readonly translate: (status: Status) => Status;
}

/** An interceptor for all calls of one server. */
export function attendCalls<Status>(options: IncomingOptions<Status>): ServerInterceptor {
  const waiting = new WaitingMessages<CallInsides<Status>>(options.maxWaitingBytes, (call) => {
    call.sendStatus(options.crowdedOut());
    // What has come of the message goes with its decoder, and nothing more is kept.
    call.decoder = { maxReadMessageLength: 0, write: () => [] };
    call.stream.close();
  });
  return (_method, call) => {
    const insides = call as unknown as Partial<CallInsides<Status>>;
    const isAsExpected = insides.decoder && insides.stream && insides.sendStatus && insides.handleEndEvent;
    if (!isAsExpected) return call as ServerInterceptingCall;
    const attended = insides as CallInsides<Status>;
    const send = attended.sendStatus.bind(attended);
    attended.sendStatus = (status) => send(options.translate(status));
    const end = attended.handleEndEvent.bind(attended);
    attended.handleEndEvent = () => {
      // By itself grpc-js forgets what it has of the last message, and carries out a call that was cut off behind one.
      if (waiting.has(attended)) attended.sendStatus(options.cutOff());
      else end();
    };
    watchDecoder(attended.decoder, (...came) => waiting.came(attended, ...came));
    attended.stream.once('close', () => waiting.forget(attended));
    // As it is: its other half, which makes a call of its own, would be in the way of those who look at its insides.
    return call as ServerInterceptingCall;
  };
}

/** How much has come of messages that are not whole. The one that has waited longest makes room. */
class WaitingMessages<Call> {
  readonly #maxBytes: number;
  readonly #crowdOut: (call: Call) => void;
  /** A Map keeps the order of insertion: the oldest is first. */
  readonly #bytes = new Map<Call, number>();
  #sum = 0;

  constructor(maxBytes: number, crowdOut: (call: Call) => void) {
    this.#maxBytes = maxBytes;
    this.#crowdOut = crowdOut;
  }

  /** Takes note of bytes. If they made a message whole, those that are left of them are of the next one. */
  came(call: Call, bytes: number, isWhole: boolean, isWithin: boolean): void {
    if (isWhole) this.forget(call);
    if (!isWithin) return;
    this.#bytes.set(call, (this.#bytes.get(call) ?? 0) + bytes);
    this.#sum += bytes;
    while (this.#sum > this.#maxBytes) {
      const [oldest] = this.#bytes.keys();
      if (oldest === undefined) return;
      this.forget(oldest);
      this.#crowdOut(oldest);
    }
  }

  has(call: Call): boolean {
    return this.#bytes.has(call);
  }

  forget(call: Call): void {
    const bytes = this.#bytes.get(call);
    if (bytes === undefined) return;
    this.#bytes.delete(call);
    this.#sum -= bytes;
  }
}
