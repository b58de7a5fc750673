/**
 * Messages in parts through grpc-js. By itself it joins the slices of every message that comes (a copy and a new
 * buffer of 1 MiB each) and copies every message that goes into a frame (the same again). Together they cost a
 * fifth of the throughput, and so many large buffers that the garbage collector runs for every 30 MB.
 *
 * Here a call's decoder is replaced by one that leaves large messages in parts, and a frame in parts is written
 * as such. Only servers' methods whose deserialiser takes parts, channels with the option `partsOption` and
 * messages of type PartedMessage are touched, so other users of grpc-js in the same process notice nothing;
 * where an inside is not as expected the call stays as it was, and its messages are joined. The tests fail when
 * grpc-js changes here.
 */
import { createRequire } from 'node:module';
import type { Http2Stream } from 'node:http2';
import { PartedMessage } from '../parted-message.js';

/** Smaller messages are joined: slices of a socket's buffer would keep all of its 64 KiB in memory. */
const smallestPartedBytes = 32 * 1024;
/**
 * On average, or a message is joined as well: a slow link or a peer with tiny frames gives parts each of which
 * costs more than copying it would, up to a hundred times its bytes in memory.
 */
const smallestPartBytes = 4 * 1024;
/** How many small parts may wait for the rest of their message before they are joined. */
const maxWaitingParts = 1_024;
/** A flag for compression and the length of the message. */
const prefixBytes = 5;

/** A channel option: answers of 32 KiB and more may come in parts; see joiningParts. */
export const partsOption = 'holdfast.messages_in_parts';

/** Deserialisers that take a message in parts. */
const takesParts = new WeakSet<object>();

/** Says that a deserialiser takes messages in parts as well as in one Buffer. */
export function acceptParts<Deserialize extends object>(deserialize: Deserialize): Deserialize {
  takesParts.add(deserialize);
  patchClientCalls();
  return deserialize;
}

/** A deserialiser for answers that may come in parts: one that does not take them gets them joined. */
export function joiningParts<Message>(deserialize: (bytes: Buffer) => Message): (bytes: Buffer) => Message {
  if (takesParts.has(deserialize)) return deserialize;
  return (bytes: Buffer | PartedMessage) =>
    deserialize(bytes instanceof PartedMessage ? bytes.join() : bytes);
}

export interface Decoder {
  readonly maxReadMessageLength: number;
  /** 0 between messages, before the first byte of one. */
  readonly readState?: number;
  write(data: Buffer): (Buffer | ReceivedFrame)[];
  onWrite?: OnWrite;
}

/** Told of every write: how many bytes came, whether a message is whole with them, and whether one is not yet. */
type OnWrite = (bytes: number, isWhole: boolean, isWithin: boolean) => void;

/** Has a decoder tell of what comes, also the one that takes its place. */
export function watchDecoder(decoder: Decoder, onWrite: OnWrite): void {
  const write = decoder.write.bind(decoder);
  decoder.onWrite = onWrite;
  decoder.write = (data) => {
    const messages = write(data);
    onWrite(data.length, messages.length > 0, decoder.readState !== 0);
    return messages;
  };
}

/** What a server call is made of, as far as it is used here. */
interface ServerCallInsides {
  decoder: Decoder;
  readonly stream: Http2Stream;
  serializeMessage(message: unknown): Buffer | FrameInParts;
  readonly handler: { readonly deserialize: object; serialize(message: unknown): Buffer | PartedMessage };
}

/** Lets a server call that nobody has read from yet give and take messages in parts. */
export function serveInParts(call: unknown): void {
  const insides = (call as { call?: Partial<ServerCallInsides> }).call;
  if (!insides?.decoder || !insides.stream || !insides.handler || !insides.serializeMessage) return;
  const { handler, stream } = insides;
  if (takesParts.has(handler.deserialize)) insides.decoder = partsDecoder(insides.decoder);
  const serializePlainly = insides.serializeMessage.bind(insides);
  insides.serializeMessage = (message) => {
    const encoded = handler.serialize(message);
    if (!(encoded instanceof PartedMessage)) return serializePlainly(message);
    writeFramesInParts(stream);
    return new FrameInParts(encoded);
  };
}

/** A message that came in parts, as grpc-js looks at a frame: the flag, then what is behind the prefix. */
class ReceivedFrame {
  readonly #message: PartedMessage;
  readonly length: number;

  constructor(message: PartedMessage) {
    this.#message = message;
    this.length = message.length + prefixBytes;
  }

  /** The flag: compressed messages are never left in parts. */
  readUInt8(): number {
    return 0;
  }

  subarray(): PartedMessage {
    return this.#message;
  }

  slice(): PartedMessage {
    return this.#message;
  }
}

/** Takes the place of grpc-js's StreamDecoder at the beginning of a call. */
class PartsDecoder implements Decoder {
  readonly maxReadMessageLength: number;
  #prefix = Buffer.alloc(0);

  /** As that of grpc-js's. */
  get readState(): number {
    return this.#prefix.length;
  }

  #parts: Buffer[] = [];
  /** Where the parts begin that lie in the same memory as the last one. */
  #sameMemoryFrom = 0;
  #missingBytes = 0;

  constructor(maxReadMessageLength: number) {
    this.maxReadMessageLength = maxReadMessageLength;
  }

  /** @throws Error for a message longer than allowed, which grpc-js answers with RESOURCE_EXHAUSTED */
  write(data: Buffer): (Buffer | ReceivedFrame)[] {
    const messages: (Buffer | ReceivedFrame)[] = [];
    let rest = data;
    while (rest.length > 0) {
      if (this.#prefix.length < prefixBytes) rest = this.#readPrefix(rest);
      if (this.#prefix.length < prefixBytes) break;
      const part = rest.subarray(0, this.#missingBytes);
      if (part.length > 0) this.#add(part);
      if (this.#parts.length === maxWaitingParts) {
        this.#parts = [Buffer.concat(this.#parts)];
        this.#sameMemoryFrom = 0;
      }
      this.#missingBytes -= part.length;
      rest = rest.subarray(part.length);
      if (this.#missingBytes === 0) messages.push(this.#takeMessage());
    }
    return messages;
  }

  #add(part: Buffer): void {
    if (part.buffer !== this.#parts.at(-1)?.buffer) {
      this.#letGoOfStrangers();
      this.#sameMemoryFrom = this.#parts.length;
    }
    this.#parts.push(part);
  }

  /**
   * Copies the last parts if less than half of the memory they lie in is theirs: the rest is of other streams on the
   * same connection, and with many of those a message would keep several times its length in memory.
   */
  #letGoOfStrangers(): void {
    const own = this.#parts.slice(this.#sameMemoryFrom);
    const ownBytes = own.reduce((sum, { length }) => sum + length, 0);
    if (ownBytes * 2 >= (own[0]?.buffer.byteLength ?? 0)) return;
    this.#parts.splice(this.#sameMemoryFrom, own.length, Buffer.concat(own));
  }

  #readPrefix(data: Buffer): Buffer {
    const taken = data.subarray(0, prefixBytes - this.#prefix.length);
    this.#prefix = Buffer.concat([this.#prefix, taken]);
    if (this.#prefix.length === prefixBytes) {
      this.#missingBytes = this.#prefix.readUInt32BE(1);
      if (this.maxReadMessageLength !== -1 && this.#missingBytes > this.maxReadMessageLength) {
        throw new Error(
          `Received message larger than max (${this.#missingBytes} vs ${this.maxReadMessageLength})`,
        );
      }
    }
    return data.subarray(taken.length);
  }

  #takeMessage(): Buffer | ReceivedFrame {
    this.#letGoOfStrangers();
    const [prefix, parts] = [this.#prefix, this.#parts];
    this.#prefix = Buffer.alloc(0);
    this.#parts = [];
    this.#sameMemoryFrom = 0;
    const length = prefix.readUInt32BE(1);
    const isWorthIt = length >= smallestPartedBytes && length >= parts.length * smallestPartBytes;
    return prefix[0] === 0 && isWorthIt
      ? new ReceivedFrame(new PartedMessage(parts))
      : Buffer.concat([prefix, ...parts]);
  }
}

function partsDecoder(plain: Decoder): Decoder {
  const isUntouched = typeof plain.maxReadMessageLength === 'number' && plain.readState === 0;
  if (!isUntouched) return plain;
  const decoder: Decoder = new PartsDecoder(plain.maxReadMessageLength);
  if (plain.onWrite) watchDecoder(decoder, plain.onWrite);
  return decoder;
}

/** A message to send with its prefix: what goes where grpc-js has a Buffer with both. */
class FrameInParts {
  readonly parts: readonly Uint8Array[];
  readonly length: number;

  constructor(message: PartedMessage) {
    const prefix = Buffer.alloc(prefixBytes);
    prefix.writeUInt32BE(message.length, 1);
    // Together with the first part, which is as small, so that the socket gets one buffer less.
    const [head = prefix, ...rest] = message.bytes.parts;
    this.parts = [Buffer.concat([prefix, head]), ...rest];
    this.length = message.length + prefixBytes;
  }
}

type WriteCallback = (error?: Error | null) => void;

interface PatchableStream {
  write(data: unknown, callback?: WriteCallback): boolean;
  cork(): void;
  uncork(): void;
}

/** Makes one stream take frames in parts: all of a frame in one write, and one callback at its end. */
function writeFramesInParts(http2Stream: unknown): void {
  const stream = http2Stream as PatchableStream & { holdfastWrites?: true };
  if (stream.holdfastWrites) return;
  stream.holdfastWrites = true;
  const writePlainly = stream.write.bind(stream);
  stream.write = (data, callback) => {
    if (!(data instanceof FrameInParts)) return writePlainly(data, callback);
    const last = data.parts.length - 1;
    let hasRoom = true;
    stream.cork();
    data.parts.forEach((part, index) => {
      hasRoom = writePlainly(part, index === last ? callback : undefined);
    });
    stream.uncork();
    return hasRoom;
  };
}

interface ClientCallInsides {
  decoder: Decoder;
  readonly http2Stream: Http2Stream;
  readonly transport: { getOptions(): Record<string, unknown> };
}

interface ClientCallPrototype {
  startRead(this: ClientCallInsides): void;
  sendMessageWithContext(this: ClientCallInsides, context: unknown, frame: unknown): void;
}

interface FilterMessage {
  readonly message: Buffer | PartedMessage;
  readonly flags?: number;
}

interface CompressionFilterInsides {
  readonly maxSendMessageLength: number;
  readonly currentCompressionAlgorithm: string;
}

interface CompressionFilterPrototype {
  sendMessage(this: CompressionFilterInsides, message: Promise<FilterMessage>): Promise<unknown>;
}

let clientCallsArePatched = false;

/** Client calls are made deep inside, so their classes are patched, once for the process. */
function patchClientCalls(): void {
  if (clientCallsArePatched) return;
  clientCallsArePatched = true;
  try {
    const require = createRequire(import.meta.url);
    const { Http2SubchannelCall } = require('@grpc/grpc-js/build/src/subchannel-call.js') as {
      Http2SubchannelCall: { prototype: ClientCallPrototype };
    };
    const { CompressionFilter } = require('@grpc/grpc-js/build/src/compression-filter.js') as {
      CompressionFilter: { prototype: CompressionFilterPrototype };
    };
    patchReceiving(Http2SubchannelCall.prototype);
    patchSending(Http2SubchannelCall.prototype, CompressionFilter.prototype);
  } catch {
    // Another layout of grpc-js: messages are joined.
  }
}

const decoderIsChosen = new WeakSet<object>();

function patchReceiving(call: ClientCallPrototype): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the call as `this` below
  const { startRead } = call;
  call.startRead = function () {
    if (!decoderIsChosen.has(this)) {
      decoderIsChosen.add(this);
      if (this.transport.getOptions()[partsOption] === 1) this.decoder = partsDecoder(this.decoder);
    }
    startRead.call(this);
  };
}

function patchSending(call: ClientCallPrototype, filter: CompressionFilterPrototype): void {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the filter as `this` below
  const { sendMessage } = filter;
  filter.sendMessage = async function (promise) {
    const { message, flags } = await promise;
    const { maxSendMessageLength, currentCompressionAlgorithm } = this;
    const fits = maxSendMessageLength === -1 || message.length <= maxSendMessageLength;
    if (message instanceof PartedMessage && fits && currentCompressionAlgorithm === 'identity') {
      return { message: new FrameInParts(message), flags };
    }
    return sendMessage.call(this, promise);
  };
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the call as `this` below
  const { sendMessageWithContext } = call;
  call.sendMessageWithContext = function (context, frame) {
    if (frame instanceof FrameInParts) writeFramesInParts(this.http2Stream);
    sendMessageWithContext.call(this, context, frame);
  };
}
