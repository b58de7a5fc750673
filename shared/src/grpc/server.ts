/**
 * A gRPC server with our settings, and handlers that cannot take the process down: a rejected async handler in
 * grpc-js answers nothing and raises unhandledRejection, so every handler passes through one of the wrappers
 * here, which answer exactly once.
 */
import {
  type ChannelOptions,
  logVerbosity,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { HoldfastError } from '../errors/index.js';
import { type Logger, silentLogger } from '../ports/logger.js';
import { toStatusObject } from './error-details.js';
import { attendCalls } from './insides/incoming.js';
import { serveInParts } from './insides/parts.js';
import { cutOff, prepareServer, readLittleAhead, resetCall } from './insides/server.js';
import { type Said, inOwnWords } from './own-words.js';

// Every failure comes back to its caller as a HoldfastError, and grpc-js would print it as well.
if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE);

export interface ServerOptions {
  /** The largest message it takes or sends, in bytes. */
  readonly maxMessageBytes: number;
  /** How many connections it holds at once; the next one is closed. Default 4,096. */
  readonly maxConnections?: number;
  readonly logger?: Logger;
}

/** Each costs a descriptor and some 100 KiB; a client has up to 16 to a keeper each way. */
const defaultMaxConnections = 4_096;
/**
 * Of messages that are not whole yet, of all calls together: eight of the largest commits at once, or the runs of twice
 * as many writes as a keeper takes.
 */
const maxWaitingBytes = 128 * 1024 * 1024;

export function createServer(options: ServerOptions): Server {
  const channelOptions: ChannelOptions = {
    // More on one connection is a client without bounds; it waits.
    'grpc.max_concurrent_streams': 256,
    // Silent connections cost a socket each and are never closed by default.
    'grpc.max_connection_idle_ms': 300_000,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.max_send_message_length': options.maxMessageBytes,
  };
  const server = new Server({
    ...channelOptions,
    interceptors: [
      attendCalls<Said>({
        maxWaitingBytes,
        translate: inOwnWords,
        crowdedOut: tooMuchAtOnce,
        cutOff: cutOffMessage,
      }),
    ],
  });
  prepareServer(server, options.maxConnections ?? defaultMaxConnections);
  return server;
}

function tooMuchAtOnce(): Said {
  return toStatusObject(
    new HoldfastError(
      'LIMIT_EXCEEDED',
      `messages of more than ${maxWaitingBytes} bytes in all are on their way here`,
      {
        retryable: true,
        remedy: 'Try again; send messages in one go, and fewer at a time.',
      },
    ),
  );
}

function cutOffMessage(): Said {
  return toStatusObject(
    new HoldfastError('INVALID_ARGUMENT', 'the call ended in the middle of a message', {
      remedy: 'Send whole messages, as long as their prefixes say.',
    }),
  );
}

/**
 * Binds `server` to HOST:PORT (port 0: any free one) and resolves to the address it really has.
 *
 * @throws HoldfastError ADDRESS_IN_USE, INVALID_ARGUMENT
 */
export async function listen(server: Server, address: string): Promise<string> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(bindError(error, address));
      else resolve(bound);
    });
  });
  return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
}

function bindError(error: Error, address: string): HoldfastError {
  if (/EADDRINUSE/.test(error.message)) {
    return new HoldfastError('ADDRESS_IN_USE', `cannot listen on ${address}: something else does`, {
      cause: error,
      remedy: 'Choose another port with --listen, or stop what listens there.',
    });
  }
  return new HoldfastError('INVALID_ARGUMENT', `cannot listen on ${address}: ${error.message}`, {
    cause: error,
    remedy: 'Use an address of this machine as HOST:PORT, for example 127.0.0.1:7400.',
  });
}

/** Lets running calls end for up to `graceMs`, then cuts them. Resolves when the port is free. */
export async function shutDown(server: Server, graceMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    // Not forceShutdown alone: a connection that is being closed waits for its peer, which may have vanished.
    const force = setTimeout(() => cutOff(server), graceMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

interface WatchedCall {
  on(event: 'cancelled', listener: () => void): unknown;
}

/**
 * A signal that is aborted when the caller is gone: it cancelled, its deadline passed, or its connection broke.
 * `answered` ends the watch: grpc-js says 'cancelled' after every answer too.
 */
function watchCaller(call: WatchedCall): { signal: AbortSignal; answered: () => void } {
  const controller = new AbortController();
  let isAnswered = false;
  call.on('cancelled', () => {
    if (!isAnswered) controller.abort(new HoldfastError('CANCELLED', 'the caller gave up'));
  });
  return {
    signal: controller.signal,
    answered: () => {
      isAnswered = true;
    },
  };
}

/** Logs what only this process may know: defects with their stack. */
function report(logger: Logger, error: unknown): void {
  if (!HoldfastError.is(error) || error.code === 'INTERNAL') {
    logger.error('a call failed by a defect', { error });
  }
}

/** Answers a call with what the work resolves to, or with its error as a status. */
function answerOnce<Response>(
  call: WatchedCall,
  work: (signal: AbortSignal) => Promise<Response>,
  callback: sendUnaryData<Response>,
  logger: Logger,
): void {
  const { signal, answered } = watchCaller(call);
  work(signal).then(
    (response) => {
      answered();
      callback(null, response);
    },
    (error: unknown) => {
      report(logger, error);
      answered();
      callback(toStatusObject(error));
    },
  );
}

export type UnaryHandler<Request, Response> = (request: Request, signal: AbortSignal) => Promise<Response>;

/** A unary handler from an async function. */
export function unary<Request, Response>(
  handler: UnaryHandler<Request, Response>,
  logger: Logger = silentLogger,
): (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => void {
  return (call, callback) => {
    answerOnce(call, (signal) => handler(call.request, signal), callback, logger);
  };
}

/** A client-streaming handler from an async function over the messages. */
export function clientStream<Request, Response>(
  handler: (messages: ServerReadableStream<Request, Response>, signal: AbortSignal) => Promise<Response>,
  logger: Logger = silentLogger,
): (call: ServerReadableStream<Request, Response>, callback: sendUnaryData<Response>) => void {
  return (call, callback) => {
    // A stream without an 'error' listener ends the process.
    call.on('error', () => undefined);
    readLittleAhead(call);
    serveInParts(call);
    answerOnce(call, (signal) => handler(call, signal), callback, logger);
  };
}

/**
 * A server-streaming handler from an async function that writes with `send`. `send` resolves when the stream
 * has room again, and rejects when the caller is gone: 'drain' alone never comes then. A handler that gives up while
 * a message waits ends the call at once: behind it the status would not get out either, and both would stay in memory
 * until the connection ends.
 */
export function serverStream<Request, Response>(
  handler: (
    request: Request,
    send: (message: Response) => Promise<void>,
    signal: AbortSignal,
  ) => Promise<void>,
  logger: Logger = silentLogger,
): (call: ServerWritableStream<Request, Response>) => void {
  return (call) => {
    call.on('error', () => undefined);
    serveInParts(call);
    const { signal } = watchCaller(call);
    let waiting = 0;
    const send = async (message: Response): Promise<void> => {
      waiting += 1;
      await writeWithBackpressure(call, message, signal);
      waiting -= 1;
    };
    handler(call.request, send, signal).then(
      () => call.end(),
      (error: unknown) => {
        report(logger, error);
        if (waiting === 0 || !resetCall(call)) call.emit('error', toStatusObject(error));
      },
    );
  };
}

/** A handler of a stream of questions with one answer each, in order; it waits until each answer is taken. */
export function bidiStream<Request, Response>(
  answer: (request: Request) => Response,
  logger: Logger = silentLogger,
): (call: ServerDuplexStream<Request, Response>) => void {
  return (call) => {
    call.on('error', () => undefined);
    const { signal, answered } = watchCaller(call);
    const serve = async (): Promise<void> => {
      // A loop that ends would destroy the stream, with what is yet to be sent.
      const requests = call.iterator({ destroyOnReturn: false }) as AsyncIterable<Request>;
      for await (const request of requests) await writeWithBackpressure(call, answer(request), signal);
    };
    serve().then(
      () => {
        answered();
        call.end();
      },
      (error: unknown) => {
        if (signal.aborted) return;
        report(logger, error);
        answered();
        call.emit('error', toStatusObject(error));
      },
    );
  };
}

function writeWithBackpressure<Response>(
  call: Pick<ServerWritableStream<unknown, Response>, 'write'>,
  message: Response,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    // The callback comes when HTTP/2 has taken the bytes; waiting for it keeps at most one message a stream in
    // memory here, where the stream itself would let 16 pile up on each side.
    call.write(message, (error?: Error | null) => {
      signal.removeEventListener('abort', onAbort);
      // Whoever hears that it was sent uses its memory again.
      if (error) reject(new HoldfastError('CANCELLED', 'the caller gave up', { cause: error }));
      else resolve();
    });
  });
}
