/**
 * A network in memory, under a seed and on virtual time: what stands where gRPC over sockets stands in production. Every
 * message is serialised and read again, takes its time, and comes in the order of its call; calls overtake each
 * other. What goes wrong is what goes wrong between machines: links that are slow or cut, one way or both ways (what is
 * sent then is lost, and each side finds that out by itself after a while), single calls that are lost on their way there
 * or back, servers that are gone with a word or without one, that are frozen, or that take calls and never answer, and
 * requests that come a second time.
 */
import { EventEmitter } from 'node:events';
import { type Deadline, type Metadata, type StatusObject, status } from '@grpc/grpc-js';
import type { CallStarter, Transport, TransportServer } from '@holdfast/shared/grpc';
import type { SeededRandom } from './seeded-random.js';
import { SimulatedCall, statusOf } from './simulated-call.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { VirtualTime } from './virtual-time.js';

/** A message's bytes, or parts of them that can be joined. */
type Encoded = Buffer | { join(): Buffer };

interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (message: unknown) => Encoded;
}

type Callback = (error: unknown, response?: unknown) => void;
type Handler = (call: unknown, callback: Callback) => void;

interface Served {
  readonly method: Method;
  readonly handler: Handler;
}

interface Endpoint {
  readonly process: SimulatedProcess;
  readonly methods: ReadonlyMap<string, Served>;
}

const calmLatencyMs: readonly [number, number] = [0.1, 2];
/** A gigabit a second. */
const bytesPerMs = 125_000;
/** A request that comes twice comes up to this much later. */
const duplicateWithinMs = 15_000;
/** How often a server that is to stop looks whether its calls have ended. */
const drainLookMs = 10;
/** Who has lost a call finds out within this: at once if something between the two says so, by keepalive at the latest. */
const lossFoundWithinMs = 20_000;

export const stepEnds = ['ok', 'refused', 'unknown'] as const;
type StepEnd = (typeof stepEnds)[number];

export class SimulatedNetwork {
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #calls = new Set<SimulatedCall>();
  /** Directions that are cut, as `from>to` of the processes' names. */
  readonly #cut = new Set<string>();
  /** Processes that take what is sent to them, by name: nothing of a call that such a one took is heard of again. */
  readonly #hung = new Set<string>();
  /** Processes whose machines are off, by name: nothing is heard of them, not even that nobody listens. */
  readonly #off = new Set<string>();
  /** A message takes from the first to the second. */
  latencyMs = calmLatencyMs;
  /** The share of unary requests that come a second time, later. */
  duplicates = 0;
  /** The share of calls that are lost: half of them before anything of them arrives, half after they took effect. */
  losses = 0;
  messages = 0;
  /** The methods that anybody serves. */
  readonly methods = new Set<string>();
  /** How often each method had which kind of end for its caller. */
  readonly steps = new Map<string, number>();
  /** Told of each answer of a unary call that arrived. */
  onAnswer: (path: string, answer: unknown) => void = () => undefined;

  constructor(time: VirtualTime, random: SeededRandom) {
    this.#time = time;
    this.#random = random;
  }

  /** Cuts what the process `from` sends to the process `to`, by their names. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** Both directions of a link are there again. */
  mendLink(one: string, other: string): void {
    this.#cut.delete(`${one}>${other}`);
    this.#cut.delete(`${other}>${one}`);
  }

  /** The process takes calls and never answers them, until it is mended. */
  hang(name: string): void {
    this.#hung.add(name);
  }

  unhang(name: string): void {
    this.#hung.delete(name);
  }

  /** No message is slow any more. */
  calm(): void {
    this.latencyMs = calmLatencyMs;
  }

  /** All links are as good as new. */
  mend(): void {
    this.#cut.clear();
    this.#hung.clear();
    this.calm();
    this.duplicates = 0;
    this.losses = 0;
  }

  /** Who calls whom and what, of the calls with which a living process is not done: in the end those of a resting cluster. */
  get openCalls(): string[] {
    return [...this.#calls]
      .filter((call) => call.isOpen)
      .map(({ client, serverName, path }) => `${client.name} to ${serverName}: ${path}`);
  }

  /**
   * Ends all that a process has to do with others: as the kernel does for one that is killed, or without a word, as a
   * machine does whose power is cut.
   */
  killed(process: SimulatedProcess, how: 'told' | 'silent' = 'told'): void {
    this.#stopListening(process);
    if (how === 'silent') this.#off.add(process.name);
    for (const call of this.#calls) {
      if (call.client !== process && call.server !== process) continue;
      if (how === 'silent') call.sever();
      else if (call.client === process) call.send('server', 0, () => call.endServer());
      else call.breakOff();
    }
  }

  /** The network as a process sees it. */
  transportOf(process: SimulatedProcess): Transport {
    return {
      deadlineIn: (durationMs) => durationMs,
      open: (address) => this.#starter(process, address),
      createServer: () => this.#server(process),
    };
  }

  /** Part of the interface that calls have to the network. */
  send(
    call: SimulatedCall,
    to: 'client' | 'server',
    sizeBytes: number,
    deliver: () => void,
    lost: () => void,
  ): void {
    // What a killed process still computes never leaves it.
    const sender = to === 'server' ? call.client : call.server;
    if (sender?.alive === false) return;
    this.messages += 1;
    const way =
      to === 'server' ? `${call.client.name}>${call.serverName}` : `${call.serverName}>${call.client.name}`;
    if (call.isTaken) return;
    if (this.#cut.has(way) || call.losesTo.has(to)) {
      lost();
      return;
    }
    const [least, most] = this.latencyMs;
    const tookMs = least + this.#random.fraction() * (most - least) + sizeBytes / bytesPerMs;
    const arrivalMs = Math.max(this.#time.nowMs + tookMs, call.lastArrivalMs[to]);
    call.lastArrivalMs[to] = arrivalMs;
    this.#time.after(arrivalMs - this.#time.nowMs, () => {
      const receiver = to === 'client' ? call.client : (call.server ?? this.#at(call)?.process);
      // A machine that is frozen takes it, and looks at it later. One where nobody listens refuses.
      if (to === 'server' && this.#hung.has(call.serverName)) call.isTaken = true;
      else if (receiver?.alive === false || (!receiver && this.#off.has(call.serverName))) lost();
      else if (receiver) receiver.run(deliver);
      else if (to === 'server') {
        const refused = statusOf(status.UNAVAILABLE, 'connection refused');
        call.send('client', 0, () => call.endClient(refused));
      }
    });
  }

  #stopListening(process: SimulatedProcess): void {
    for (const [address, endpoint] of this.#endpoints) {
      if (endpoint.process === process) this.#endpoints.delete(address);
    }
  }

  /** Calls that its handlers still have to do with. */
  #servedBy(process: SimulatedProcess): SimulatedCall[] {
    return [...this.#calls].filter(({ server, serverEnded }) => server === process && !serverEnded);
  }

  #at(call: SimulatedCall): Endpoint | undefined {
    return [...this.#endpoints].find(([address]) => address.startsWith(`${call.serverName}:`))?.[1];
  }

  #server(process: SimulatedProcess): TransportServer {
    const methods = new Map<string, Served>();
    const shutDown = async (graceMs: number): Promise<void> => {
      this.#stopListening(process);
      const untilMs = this.#time.nowMs + graceMs;
      while (this.#servedBy(process).length > 0 && this.#time.nowMs < untilMs) {
        await process.clock.sleep(drainLookMs);
      }
      for (const call of this.#servedBy(process)) call.cutOff();
    };
    const close = (): void => this.killed(process);
    this.#off.delete(process.name);
    return {
      addService: (definition, implementation) => {
        const handlers = implementation as Record<string, Handler | undefined>;
        for (const [name, method] of Object.entries(definition)) {
          const handler =
            handlers[name] ?? handlers[(method as { originalName?: string }).originalName ?? ''];
          if (!handler) continue;
          methods.set(method.path, { method: method, handler });
          this.methods.add(method.path);
        }
      },
      listen: (address) => {
        this.#endpoints.set(address, { process, methods });
        return Promise.resolve(address);
      },
      shutDown,
      forceShutdown: close,
      cutOff: close,
    };
  }

  /** A request that arrived: the handler's turn. */
  #serve(call: SimulatedCall, request: Buffer): void {
    const endpoint = this.#at(call);
    const served = endpoint?.methods.get(call.path);
    if (!endpoint || !served) {
      call.endClient(statusOf(status.UNIMPLEMENTED, `${call.path} is not served`));
      return;
    }
    call.server = endpoint.process;
    const { method, handler } = served;
    const answer: Callback = (error, response) => {
      if (error) call.respond(error as StatusObject);
      else call.respond(statusOf(status.OK, ''), joined(method.responseSerialize(response)));
    };
    if (method.requestStream) handler(this.#streamedRequest(call, method), answer);
    else if (method.responseStream) handler(this.#streamedResponse(call, method, request), answer);
    else handler(Object.assign(call.serverSide, { request: method.requestDeserialize(request) }), answer);
  }

  #streamedRequest(call: SimulatedCall, method: Method): EventEmitter {
    const read = async function* (): AsyncGenerator<unknown> {
      for await (const bytes of call.atServer) yield method.requestDeserialize(bytes as Buffer);
    };
    return Object.assign(call.serverSide, {
      [Symbol.asyncIterator]: read,
      destroy: () => call.atServer.destroy(),
    });
  }

  #streamedResponse(call: SimulatedCall, method: Method, request: Buffer): EventEmitter {
    const side = Object.assign(call.serverSide, {
      request: method.requestDeserialize(request),
      write: (message: unknown, taken: () => void): void => {
        const bytes = joined(method.responseSerialize(message));
        if (!call.serverEnded) call.toClient.write(bytes, bytes.length, taken);
      },
      end: () => call.respond(statusOf(status.OK, '')),
    });
    side.on('error', (end: StatusObject) => call.respond(end));
    return side;
  }

  #begin(client: SimulatedProcess, address: string, path: string, deadline: Deadline | undefined) {
    const call = new SimulatedCall({
      ...{ wire: this, client, address, path, deadlineMs: Number(deadline) },
      onClientEnded: ({ code }) => {
        const step = `${path} ${kindOf(code)}`;
        this.steps.set(step, (this.steps.get(step) ?? 0) + 1);
      },
      onOver: (over) => this.#calls.delete(over),
    });
    if (this.losses > 0 && this.#random.chance(this.losses)) {
      call.losesTo.add(this.#random.pick(['server', 'client'] as const));
      call.lossFoundMs = this.#random.fraction() * lossFoundWithinMs;
    }
    this.#calls.add(call);
    return call;
  }

  /** A repetition that nobody asked for, as a proxy may make it: its answer goes nowhere. */
  #maybeTwice(client: SimulatedProcess, address: string, path: string, request: Buffer): void {
    if (this.duplicates === 0 || !this.#random.chance(this.duplicates)) return;
    client.after(this.#random.fraction() * duplicateWithinMs, () => {
      const again = this.#begin(client, address, path, 60_000);
      again.send('server', request.length, () => this.#serve(again, request));
    });
  }

  #starter(client: SimulatedProcess, address: string): CallStarter {
    interface Options {
      readonly deadline?: Deadline;
    }
    type Serialize = (message: unknown) => Encoded;
    type Deserialize = (bytes: Buffer) => unknown;
    const tell = (call: SimulatedCall, deserialize: Deserialize, callback: Callback) => {
      call.onClientEnd((end, answer) => {
        if (end.code !== status.OK || !answer) {
          callback(Object.assign(new Error(end.details), end));
          return;
        }
        const message = deserialize(answer);
        this.onAnswer(call.path, message);
        callback(null, message);
      });
    };
    const starter = {
      makeUnaryRequest: (
        path: string,
        serialize: Serialize,
        deserialize: Deserialize,
        request: unknown,
        _metadata: Metadata,
        { deadline }: Options,
        callback: Callback,
      ) => {
        const call = this.#begin(client, address, path, deadline);
        tell(call, deserialize, callback);
        const bytes = joined(serialize(request));
        call.send('server', bytes.length, () => this.#serve(call, bytes));
        this.#maybeTwice(client, address, path, bytes);
        return { cancel: () => call.cancel() };
      },
      makeClientStreamRequest: (
        path: string,
        serialize: Serialize,
        deserialize: Deserialize,
        _metadata: Metadata,
        { deadline }: Options,
        callback: Callback,
      ) => {
        const call = this.#begin(client, address, path, deadline);
        const stream = Object.assign(new EventEmitter(), {
          write: (message: unknown, taken: () => void): void => {
            // Copied: the memory of a message is used again once it was taken.
            const bytes = Buffer.from(joined(serialize(message)));
            call.toServer.write(bytes, bytes.length, () => this.#time.after(0, taken));
          },
          end: () => call.send('server', 0, () => call.atServer.end()),
          cancel: () => call.cancel(),
        });
        tell(call, deserialize, (error, answer) => {
          callback(error, answer);
          stream.emit('status', error);
        });
        call.send('server', 0, () => this.#serve(call, Buffer.alloc(0)));
        return stream;
      },
      makeServerStreamRequest: (
        path: string,
        serialize: Serialize,
        deserialize: Deserialize,
        request: unknown,
        _metadata: Metadata,
        { deadline }: Options,
      ) => {
        const call = this.#begin(client, address, path, deadline);
        const read = async function* (): AsyncGenerator<unknown> {
          for await (const bytes of call.atClient) yield deserialize(bytes as Buffer);
        };
        const stream = Object.assign(new EventEmitter(), {
          [Symbol.asyncIterator]: read,
          cancel: () => call.cancel(),
        });
        call.onClientEnd((end) => stream.emit('status', end));
        const bytes = joined(serialize(request));
        call.send('server', bytes.length, () => this.#serve(call, bytes));
        return stream;
      },
      close: () => undefined,
    };
    return starter as unknown as CallStarter;
  }
}

/** What a caller knows after such an end of his call: that it was done, that it was not, or nothing. */
function kindOf(code: status): StepEnd {
  if (code === status.OK) return 'ok';
  const isUnknown = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED].includes(code);
  return isUnknown ? 'unknown' : 'refused';
}

function joined(encoded: Encoded): Buffer {
  return Buffer.isBuffer(encoded) ? encoded : encoded.join();
}
