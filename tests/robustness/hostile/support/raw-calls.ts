/** Calls whose messages are bytes: what is right and what is wrong about them is the caller's. */
import { type ChannelOptions, Client, Metadata, credentials, status } from '@grpc/grpc-js';
import { bytesOf, readFields, textOf } from './wire.js';

const options: ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.max_receive_message_length': -1,
};

export function openRaw(address: string): Client {
  return new Client(address, credentials.createInsecure(), options);
}

export interface RawCall {
  readonly path: string;
  readonly messages: readonly Buffer[];
  /** Whether the caller says that it is done. Default true. */
  readonly halfClose?: boolean;
  /** Cancels this long after the last message, in milliseconds. */
  readonly cancelAfterMs?: number;
  readonly deadlineMs?: number;
  /** Ends a call that answers with a stream without an end, after this many messages. Default 50. */
  readonly maxAnswers?: number;
}

export interface Outcome {
  /** The name of the gRPC status. */
  readonly status: string;
  readonly text: string;
  /** What the ErrorDetail says, if one came. */
  readonly detail: { readonly message: string; readonly remedy: string } | undefined;
  readonly answers: readonly Buffer[];
}

const plain = (bytes: Buffer): Buffer => bytes;

/** Makes a call as a stream both ways, whatever the method is: so it can have no message, or many. */
export function callRaw(client: Client, call: RawCall): Promise<Outcome> {
  const { path, messages, halfClose = true, cancelAfterMs, deadlineMs = 60_000, maxAnswers = 50 } = call;
  return new Promise((resolve) => {
    const answers: Buffer[] = [];
    const deadline = Date.now() + deadlineMs;
    const stream = client.makeBidiStreamRequest<Buffer, Buffer>(path, plain, plain, new Metadata(), {
      deadline,
    });
    stream.on('error', () => undefined);
    stream.on('data', (answer: Buffer) => {
      answers.push(answer);
      if (answers.length >= maxAnswers) stream.cancel();
    });
    stream.on('status', ({ code, details, metadata }) => {
      resolve({ status: status[code], text: details, detail: detailOf(metadata), answers });
    });
    for (const message of messages) stream.write(message);
    if (halfClose) stream.end();
    if (cancelAfterMs !== undefined) setTimeout(() => stream.cancel(), cancelAfterMs);
  });
}

/** google.rpc.Status has details in field 3, google.protobuf.Any its value in field 2, ErrorDetail texts in 2 and 3. */
export function detailOf(metadata: Metadata): Outcome['detail'] {
  const [packed] = metadata.get('grpc-status-details-bin');
  if (!Buffer.isBuffer(packed)) return undefined;
  const [any] = bytesOf(readFields(packed), 3);
  const [detail] = any ? bytesOf(readFields(any), 2) : [];
  if (!detail) return undefined;
  const fields = readFields(detail);
  return { message: textOf(fields, 2), remedy: textOf(fields, 3) };
}
