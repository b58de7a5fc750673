/**
 * Calling RPCs: always with a deadline, always cancellable, and every failure a HoldfastError. Methods are named
 * by their definitions (`trackerV1.NamespaceService.service.GetEntry`), which carry the types.
 */
import {
  type ClientReadableStream,
  type ClientWritableStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { cancelled } from '../concurrency/cancellation.js';
import { HoldfastError, hasCode } from '../errors/index.js';
import type { PeerChannel, SignOfLife } from './channel.js';
import { fromServiceError } from './error-details.js';
import { joiningParts } from './insides/parts.js';
import { readLittleAhead } from './insides/server.js';

export interface CallOptions {
  /** How long the call may take in all. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A method's definition, as far as a caller needs it. */
export interface CallableMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (request: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/**
 * Calls a unary RPC.
 *
 * @param peer whom, for messages: `tracker 127.0.0.1:7400`
 * @throws HoldfastError the peer's code; UNAVAILABLE, DEADLINE_EXCEEDED or CANCELLED if it did not answer
 */
export async function callUnary<Request, Response>(
  channel: PeerChannel,
  peer: string,
  method: CallableMethod<Request, Response>,
  request: Request,
  options: CallOptions,
): Promise<Response> {
  const { deadlineMs, signal } = options;
  if (signal?.aborted) throw cancelled(signal);
  return new Promise<Response>((resolve, reject) => {
    const onAbort = (): void => call.cancel();
    const slot = channel.begin();
    const call = slot.client.makeUnaryRequest<Request, Response>(
      method.path,
      method.requestSerialize,
      joiningParts(method.responseDeserialize),
      request,
      new Metadata(),
      { deadline: slot.deadlineIn(deadlineMs) },
      (error, response) => {
        signal?.removeEventListener('abort', onAbort);
        slot.ended(signOfLife(error?.code, signal));
        if (error) reject(signal?.aborted ? cancelled(signal) : fromServiceError(error, peer));
        else if (response === undefined) reject(new HoldfastError('INTERNAL', `${peer}: no answer came`));
        else resolve(response);
      },
    );
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** That we cancelled because the peer was silent for too long is a deadline like any other. */
function signOfLife(outcome: status | undefined, signal: AbortSignal | undefined): SignOfLife {
  const isSilent =
    outcome === status.DEADLINE_EXCEEDED ||
    (outcome === status.CANCELLED && hasCode(signal?.reason, 'DEADLINE_EXCEEDED'));
  if (isSilent) return 'silent';
  return outcome === status.CANCELLED && signal?.aborted === true ? 'none' : 'alive';
}

/** A client-streaming call that runs: the stream to write to, and the answer. */
export interface UploadCall<Request, Response> {
  readonly stream: ClientWritableStream<Request>;
  /** Resolves to the answer; rejects with a HoldfastError. Handle it even when writing fails. */
  readonly response: Promise<Response>;
}

/** Client streams whose call is over: nothing is ever said on them again, not even to a write that waits. */
const endedStreams = new WeakSet<object>();

/** Starts a client-streaming RPC. The stream has its 'error' listener already. */
export function callClientStream<Request, Response>(
  channel: PeerChannel,
  peer: string,
  method: CallableMethod<Request, Response>,
  options: CallOptions,
): UploadCall<Request, Response> {
  const { deadlineMs, signal } = options;
  if (signal?.aborted) throw cancelled(signal);
  let settle: (error: ServiceError | null, response?: Response) => void = () => undefined;
  const response = new Promise<Response>((resolve, reject) => {
    settle = (error, answer) => {
      endedStreams.add(stream);
      signal?.removeEventListener('abort', onAbort);
      slot.ended(signOfLife(error?.code, signal));
      if (error) reject(signal?.aborted ? cancelled(signal) : fromServiceError(error, peer));
      else if (answer === undefined) reject(new HoldfastError('INTERNAL', `${peer}: no answer came`));
      else resolve(answer);
    };
  });
  // Whoever writes may see the failure first and leave; the rejection is then nobody's surprise.
  response.catch(() => undefined);
  const slot = channel.begin();
  const stream = slot.client.makeClientStreamRequest<Request, Response>(
    method.path,
    method.requestSerialize,
    joiningParts(method.responseDeserialize),
    new Metadata(),
    { deadline: slot.deadlineIn(deadlineMs) },
    (error, answer) => settle(error, answer),
  );
  const onAbort = (): void => stream.cancel();
  // The failure comes through the callback too; without a listener it would end the process.
  stream.on('error', () => undefined);
  signal?.addEventListener('abort', onAbort, { once: true });
  return { stream, response };
}

/**
 * Writes one message and resolves when HTTP/2 has taken it. Rejects when the call ended meanwhile: 'drain' alone
 * would then never come.
 *
 * @throws HoldfastError UNAVAILABLE; the call's own outcome says more
 */
export function writeMessage<Request>(
  stream: ClientWritableStream<Request>,
  message: Request,
): Promise<void> {
  const ended = (): HoldfastError =>
    new HoldfastError('UNAVAILABLE', 'the call ended while a message was being sent');
  if (endedStreams.has(stream)) return Promise.reject(ended());
  return new Promise((resolve, reject) => {
    const onEnd = (): void => {
      cleanUp();
      reject(ended());
    };
    const cleanUp = (): void => {
      stream.off('status', onEnd);
      stream.off('close', onEnd);
    };
    stream.once('status', onEnd);
    stream.once('close', onEnd);
    stream.write(message, () => {
      cleanUp();
      resolve();
    });
  });
}

/** Starts a server-streaming RPC; iterate it, and every failure comes out as a HoldfastError. */
export async function* callServerStream<Request, Response>(
  channel: PeerChannel,
  peer: string,
  method: CallableMethod<Request, Response>,
  request: Request,
  options: CallOptions,
): AsyncGenerator<Response, void, undefined> {
  const { deadlineMs, signal } = options;
  if (signal?.aborted) throw cancelled(signal);
  const slot = channel.begin();
  const stream: ClientReadableStream<Response> = slot.client.makeServerStreamRequest<Request, Response>(
    method.path,
    method.requestSerialize,
    joiningParts(method.responseDeserialize),
    request,
    new Metadata(),
    { deadline: slot.deadlineIn(deadlineMs) },
  );
  readLittleAhead(stream);
  // Not in `finally`: a generator that nobody goes on with never gets there, but its call always has a status.
  stream.once('status', ({ code }: { code: status }) => slot.ended(signOfLife(code, signal)));
  const onAbort = (): void => stream.cancel();
  signal?.addEventListener('abort', onAbort, { once: true });
  let ended = false;
  try {
    for await (const message of stream) yield message as Response;
    ended = true;
  } catch (error) {
    throw signal?.aborted ? cancelled(signal) : fromServiceError(error, peer);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    stream.on('error', () => undefined);
    // Leaving early must stop the sender.
    if (!ended) stream.cancel();
  }
}
