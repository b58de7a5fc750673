/**
 * Reads messages as the contract says, where protobufjs is lenient: it takes text that is not UTF-8, and then another
 * text than was sent; text that is cut off; and from 16 MiB of two-byte elements it makes gigabytes of objects.
 */
import type { PackageDefinition } from '@grpc/proto-loader';
import { isUtf8 } from 'node:buffer';
import { createRequire } from 'node:module';

/** What the decoder puts in the place of what is not UTF-8, and what text may have in it all the same. */
const replacementCharacter = '\uFFFD';
/** Shorter messages take little memory whatever is in them. */
const harmlessBytes = 64 * 1024;
/** Counted as partsOf does, the largest commit has 740,000. Each becomes an object of some 400 bytes at most. */
const maxParts = 800_000;
/** The contract has no repeated field further down: the facts of the errors of bad pieces. */
const deepest = 2;
/** What is not made of fields may be a list of numbers, which are this long on average where they mean something. */
const leafBytes = 8;

/** As much of protobufjs's reader as is used here. */
interface Reader {
  readonly buf: Buffer;
  pos: number;
  readonly len: number;
  uint32(): number;
}

const require = createRequire(import.meta.url);
// The copy that the loader decodes with: another one's reader would be a stranger to it.
const { BufferReader } = createRequire(require.resolve('@grpc/proto-loader'))('protobufjs/minimal') as {
  BufferReader: new (bytes: Buffer) => Reader;
};

class StrictReader extends BufferReader {
  string(): string {
    const lengthBytes = this.uint32();
    const start = this.pos;
    if (start + lengthBytes > this.len) throw new RangeError('a text is cut off');
    this.pos += lengthBytes;
    const bytes = this.buf.subarray(start, this.pos);
    const text = bytes.toString();
    if (text.includes(replacementCharacter) && !isUtf8(bytes)) throw new RangeError('a text is not UTF-8');
    return text;
  }
}

type Deserialize = (bytes: Buffer) => object;

/** The same deserialiser, but strict. @throws Error for what is not as the contract says */
function strictly(deserialize: Deserialize): Deserialize {
  return (bytes) => {
    if (bytes.length > harmlessBytes && partsOf(bytes) > maxParts) {
      throw new RangeError(`a message has more than ${maxParts} parts`);
    }
    // protobufjs goes on with a reader that is there, instead of making one of the bytes.
    return deserialize(new StrictReader(bytes) as unknown as Buffer);
  };
}

/** Makes all messages of a package be read strictly. */
export function readStrictly(definition: PackageDefinition): PackageDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, each]) => [name, strict(each as object) as typeof each]),
  );
}

/** A message with its deserialiser, or a service, whose methods have two. */
function strict(definition: object): object {
  return Object.fromEntries(
    Object.entries(definition).map(([key, value]: [string, unknown]) => {
      if (/^(request|response)?[dD]eserialize$/.test(key)) return [key, strictly(value as Deserialize)];
      const isMethod = typeof value === 'object' && value !== null && 'requestDeserialize' in value;
      return [key, isMethod ? strict(value) : value];
    }),
  );
}

/**
 * How many fields a message has, with those of its fields and, if they have a length, those of theirs, as far as it can
 * be told without knowing its type. Stops when there are too many.
 */
function partsOf(content: Uint8Array, depth = 0): number {
  let parts = 0;
  const isMessage = forEachField(content, (inner) => {
    if (inner || depth < deepest) parts += 1;
    if (inner && depth < deepest) parts += partsOf(inner, depth + 1);
    return parts <= maxParts;
  });
  return isMessage || depth === deepest ? parts : Math.floor(content.length / leafBytes);
}

/** Goes through the fields, each with its content if it has a length, while `onField` says so. False if they are none. */
function forEachField(message: Uint8Array, onField: (content: Uint8Array | undefined) => boolean): boolean {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++];
      if (byte === undefined) return NaN;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  /** Of what is behind a tag; of a number that has been read, nothing more. */
  const lengthOf = (wireType: number): number => {
    if (wireType === 0) return varint() * 0;
    if (wireType === 2) return varint();
    return wireType === 1 ? 8 : wireType === 5 ? 4 : NaN;
  };
  while (at < message.length) {
    const wireType = varint() % 8;
    const length = lengthOf(wireType);
    const content = wireType === 2 ? message.subarray(at, at + length) : undefined;
    at += length;
    // Also where a number was cut off, and is none.
    if (!(at <= message.length)) return false;
    if (!onField(content)) return true;
  }
  return true;
}
