/**
 * Messages with blocks, between the contract's bytes and memory, without copying the blocks. The generated
 * functions copy them on the way out (into a buffer of the whole message) and on the way in (grpc-js joins what
 * came); what stands here writes and reads the same bytes, and touches only the hundred before the data.
 *
 * All messages with blocks have them as field 2, and the data is the last field of a BlockRun. A message that is
 * laid out otherwise, as another language may do it, goes through the generated functions.
 */
import { type BlockRun as BlockRunMessage, type BlockRunOutput, commonV1 } from '@holdfast/proto';
import { type ByteParts, type Bytes, joinBytes, partsOf } from '../domain/bytes.js';
import { acceptParts } from './insides/parts.js';
import { PartedMessage } from './parted-message.js';

/** Field 2, length-delimited: `blocks` in WriteChunkRequest, ReadChunkResponse and StreamReplicaResponse. */
const blocksTag = 0x12;
/** Field 15, length-delimited: `data` in BlockRun. */
const dataTag = 0x7a;
/** More than what comes before the data: 4 bytes for each of up to 256 blocks of 4 KiB, and some tags. */
const maxHeadBytes = 2_048;

/** A BlockRun to send, with its data as it lies in memory. */
export type SendableBlocks = Omit<BlockRunMessage, 'data'> & { data: Bytes };

/** A BlockRun that came, its data in as many parts as it came in. */
export type ReceivedBlocks = Omit<BlockRunOutput, 'data'> & { data: Bytes };

/** A message to send. */
export type Sendable<Message> = Omit<Message, 'blocks'> & { blocks?: SendableBlocks };

/** A message that came. */
export type Received<Message> = Omit<Message, 'blocks'> & { blocks?: ReceivedBlocks | null };

/**
 * A serialiser for messages that may have `blocks`, over the generated one. The data is read when HTTP/2 writes
 * the message: it may be reused once the write is done, and not before.
 */
export function blockSerializer<Message extends { blocks?: BlockRunMessage | null }>(
  serialize: (message: Message) => Buffer,
): (message: Sendable<Message>) => Buffer {
  return (message) => {
    const { blocks } = message;
    if (!blocks || blocks.data.length === 0) return serialize(message as unknown as Message);
    const start = commonV1.BlockRun.serialize({
      offset: blocks.offset ?? 0,
      checksums: blocks.checksums ?? [],
    });
    const dataHead = [dataTag, ...varint(blocks.data.length)];
    const runBytes = start.length + dataHead.length + blocks.data.length;
    const head = Buffer.from([blocksTag, ...varint(runBytes), ...start, ...dataHead]);
    return new PartedMessage([head, ...partsOf(blocks.data)]) as unknown as Buffer;
  };
}

/** A deserialiser for messages that may have `blocks`, over the generated one. */
export function blockDeserializer<Message extends { blocks?: BlockRunOutput | null }>(
  deserialize: (bytes: Buffer) => Message,
): (bytes: Buffer) => Received<Message> {
  // A message with this field only: the generated function knows the defaults of all others.
  const withBlocksOnly = deserialize(Buffer.from([blocksTag, 0]));
  return acceptParts((bytes: Buffer | PartedMessage) => {
    if (!(bytes instanceof PartedMessage)) return deserialize(bytes);
    const found = splitAtData(bytes.bytes);
    if (!found) return deserialize(bytes.join());
    const run = commonV1.BlockRun.deserialize(found.start);
    return { ...withBlocksOnly, blocks: { ...run, data: found.data } };
  });
}

/** The BlockRun's fields before the data, and the data, if these two are all there is. */
function splitAtData(message: ByteParts): { start: Buffer; data: ByteParts } | undefined {
  const head = joinBytes(message.subarray(0, Math.min(maxHeadBytes, message.length)));
  if (head[0] !== blocksTag) return undefined;
  const run = readVarint(head, 1, maxBytesOfLength);
  if (!run || run.end + run.value !== message.length) return undefined;
  for (let at = run.end; at < head.length;) {
    const tag = head[at] ?? 0;
    // Tags of one byte only: BlockRun has no field above 15.
    if (tag >= 0x80) return undefined;
    const wireType = tag & 7;
    const value = readVarint(head, at + 1, wireType === 2 ? maxBytesOfLength : maxBytesOfOffset);
    if (!value || (wireType !== 0 && wireType !== 2)) return undefined;
    if (tag === dataTag) {
      if (value.end + value.value !== message.length) return undefined;
      return { start: head.subarray(run.end, at), data: message.subarray(value.end) };
    }
    at = wireType === 2 ? value.end + value.value : value.end;
  }
  return undefined;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

/** Lengths have 32 bits; offsets are exact numbers. */
const maxBytesOfLength = 5;
const maxBytesOfOffset = 8;

/** The varint at `start` and where it ends; undefined if it is cut off, longer, or no exact number. */
function readVarint(
  bytes: Buffer,
  start: number,
  maxBytes: number,
): { value: number; end: number } | undefined {
  let value = 0;
  const limit = Math.min(bytes.length, start + maxBytes);
  for (let at = start, factor = 1; at < limit; at += 1, factor *= 128) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return Number.isSafeInteger(value) ? { value, end: at + 1 } : undefined;
  }
  return undefined;
}

/** A method's definition, as the generated code gives it. */
interface Method<Request, Response, RequestOut, ResponseOut> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (message: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => RequestOut;
  readonly responseSerialize: (message: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => ResponseOut;
}

/** A method whose requests carry blocks, for callers and servers alike. */
export function requestBlocks<
  Request extends { blocks?: BlockRunMessage | null },
  Response,
  RequestOut extends { blocks?: BlockRunOutput | null },
  ResponseOut,
>(method: Method<Request, Response, RequestOut, ResponseOut>) {
  return {
    ...method,
    requestSerialize: blockSerializer(method.requestSerialize),
    requestDeserialize: blockDeserializer(method.requestDeserialize),
  };
}

/** A method whose responses carry blocks, for callers and servers alike. */
export function responseBlocks<
  Request,
  Response extends { blocks?: BlockRunMessage | null },
  RequestOut,
  ResponseOut extends { blocks?: BlockRunOutput | null },
>(method: Method<Request, Response, RequestOut, ResponseOut>) {
  return {
    ...method,
    responseSerialize: blockSerializer(method.responseSerialize),
    responseDeserialize: blockDeserializer(method.responseDeserialize),
  };
}
