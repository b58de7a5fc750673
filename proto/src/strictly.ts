/**
 * Looks whether a message is one, before protobufjs reads it, which is lenient: it takes text that is not UTF-8, and
 * then another text than was sent; text and numbers that are cut off; numbers of 6 to 9 bytes for small ones, behind
 * which it goes on in the midst of what follows; lengths of 2^32 and more, less that; and any value of a field whatever
 * its tag says it is. Also, from 16 MiB of two-byte elements it would make gigabytes of objects.
 */
import type { MessageTypeDefinition, PackageDefinition } from '@grpc/proto-loader';
import { isUtf8 } from 'node:buffer';

/** Fields and elements in one message. The largest commit has 670,000; each becomes an object of some 400 bytes at most. */
const maxParts = 800_000;

/** How a value is written: its kind of tag (https://protobuf.dev/programming-guides/encoding). */
const varintType = 0;
const eightBytesType = 1;
const lengthType = 2;
const fourBytesType = 5;

/** Of numbers of 32 and of 64 bits, and of negative ones of 32, which are written as if they had 64. */
const maxBytesOf32 = 5;
const maxBytesOf64 = 10;

interface Field {
  readonly wireType: number;
  /** Several numbers may stand behind one tag. */
  readonly isPackable: boolean;
  readonly is32Bit: boolean;
  readonly isText: boolean;
  /** Of a field that is a message. */
  readonly shape?: Shape;
}

/** The fields of a message by their numbers. */
type Shape = Map<number, Field>;

type AnyDefinition = PackageDefinition[string];
type Message = MessageTypeDefinition<object, object>;
type Deserialize = (bytes: Buffer) => object;

/** Makes all messages of a package be looked at before they are read. */
export function readStrictly(definition: PackageDefinition): PackageDefinition {
  const shapes = shapesOf(definition);
  const shapeOf = (name: string): Shape => {
    const shape = shapes.get(name);
    if (!shape) throw new Error(`the contract has no message ${name}`);
    return shape;
  };
  const strictDefinition = (name: string, each: AnyDefinition): AnyDefinition => {
    if (isMessage(each)) return { ...each, deserialize: strictly(each.deserialize, shapeOf(name)) };
    if ('format' in each) return each;
    const scope = name.slice(0, name.lastIndexOf('.'));
    const methods = Object.entries(each).map(([method, its]) => [
      method,
      {
        ...its,
        requestDeserialize: strictly(its.requestDeserialize, shapeOf(`${scope}.${nameOf(its.requestType)}`)),
        responseDeserialize: strictly(
          its.responseDeserialize,
          shapeOf(`${scope}.${nameOf(its.responseType)}`),
        ),
      },
    ]);
    return Object.fromEntries(methods) as typeof each;
  };
  return Object.fromEntries(
    Object.entries(definition).map(([name, each]) => [name, strictDefinition(name, each)]),
  );
}

/** The same deserialiser, but strict. @throws RangeError for what is not as the contract says */
function strictly(deserialize: Deserialize, shape: Shape): Deserialize {
  return (bytes) => {
    new Inspection(bytes).message(shape, bytes.length);
    return deserialize(bytes);
  };
}

/** As much as is used here of the descriptor that the loader gives with each message (google.protobuf.DescriptorProto). */
interface Descriptor {
  readonly name: string;
  readonly field: readonly {
    readonly number: number;
    readonly label: string;
    readonly type: string;
    readonly typeName: string;
  }[];
  readonly nestedType: readonly Descriptor[];
}

function nameOf({ type }: Message): string {
  return (type as Descriptor).name;
}

function isMessage(definition: AnyDefinition): definition is Message {
  return 'deserialize' in definition;
}

function shapesOf(definition: PackageDefinition): ReadonlyMap<string, Shape> {
  const descriptors = Object.entries(definition).flatMap(([name, each]) =>
    isMessage(each) ? withNested(name, each.type as Descriptor) : [],
  );
  const shapes = new Map<string, Shape>(descriptors.map(([name]) => [name, new Map()]));
  for (const [name, { field: fields }] of descriptors) {
    for (const { number, label, type, typeName } of fields) {
      const wireType = wireTypeOf(type);
      const shape = type === 'TYPE_MESSAGE' ? shapeSeenFrom(name, typeName, shapes) : undefined;
      shapes.get(name)?.set(number, {
        wireType,
        isPackable: label === 'LABEL_REPEATED' && wireType !== lengthType,
        is32Bit: !type.endsWith('64'),
        isText: type === 'TYPE_STRING',
        ...(shape && { shape }),
      });
    }
  }
  return shapes;
}

/** The entries of a map are a message inside of it, which the loader does not list. */
function withNested(name: string, descriptor: Descriptor): readonly (readonly [string, Descriptor])[] {
  const nested = descriptor.nestedType.flatMap((each) => withNested(`${name}.${each.name}`, each));
  return [[name, descriptor], ...nested];
}

function wireTypeOf(type: string): number {
  if (/^TYPE_(MESSAGE|STRING|BYTES)$/.test(type)) return lengthType;
  if (/^TYPE_(FIXED64|SFIXED64|DOUBLE)$/.test(type)) return eightBytesType;
  if (/^TYPE_(FIXED32|SFIXED32|FLOAT)$/.test(type)) return fourBytesType;
  return varintType;
}

/** Names are looked up from the inside to the outside. */
function shapeSeenFrom(scope: string, name: string, shapes: ReadonlyMap<string, Shape>): Shape {
  const shape = shapes.get(scope === '' ? name : `${scope}.${name}`);
  if (shape) return shape;
  if (scope === '') throw new Error(`the contract has no message ${name}`);
  return shapeSeenFrom(scope.slice(0, Math.max(0, scope.lastIndexOf('.'))), name, shapes);
}

/** A walk through one message. All methods throw a RangeError for what is no message of the shape. */
class Inspection {
  readonly #bytes: Buffer;
  #at = 0;
  #parts = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  message(shape: Shape, end: number): void {
    while (this.#at < end) {
      const tag = this.#number(end);
      const wireType = tag % 8;
      const field = shape.get(Math.floor(tag / 8));
      this.#count();
      if (tag < 8) throw new RangeError('a field without a number');
      if (!field || field.wireType === wireType) this.#value(wireType, field, end);
      else if (field.isPackable && wireType === lengthType) this.#packed(field, end);
      else throw new RangeError(`field ${Math.floor(tag / 8)} is of another type`);
    }
  }

  #count(): void {
    this.#parts += 1;
    if (this.#parts > maxParts) throw new RangeError(`a message has more than ${maxParts} parts`);
  }

  #value(wireType: number, field: Field | undefined, end: number): void {
    switch (wireType) {
      case varintType:
        this.#skipNumber(field?.is32Bit ?? false, end);
        return;
      case eightBytesType:
        this.#skip(8, end);
        return;
      case fourBytesType:
        this.#skip(4, end);
        return;
      case lengthType: {
        const length = this.#number(end);
        if (field?.shape && this.#at + length <= end) this.message(field.shape, this.#at + length);
        else this.#skip(length, end);
        if (field?.isText) this.#checkText(this.#at - length);
        return;
      }
      default:
        // Groups are older than the contract's version of the language.
        throw new RangeError(`a field of wire type ${wireType}`);
    }
  }

  #packed(field: Field, end: number): void {
    const length = this.#number(end);
    const start = this.#at;
    this.#skip(length, end);
    const packedEnd = this.#at;
    for (this.#at = start; this.#at < packedEnd; this.#count()) {
      this.#value(field.wireType, field, packedEnd);
    }
  }

  #skip(bytes: number, end: number): void {
    this.#at += bytes;
    if (this.#at > end) throw new RangeError('a field is cut off');
  }

  /** A tag or a length. */
  #number(end: number): number {
    const start = this.#at;
    this.#skipNumber(true, end);
    if (this.#at - start > maxBytesOf32) throw new RangeError('a tag or a length of more than 32 bits');
    let value = 0;
    for (let at = this.#at - 1; at >= start; at -= 1) value = value * 128 + ((this.#bytes[at] ?? 0) & 0x7f);
    return value;
  }

  #skipNumber(is32Bit: boolean, end: number): void {
    const start = this.#at;
    while ((this.#bytes[this.#at] ?? 0) >= 0x80) this.#at += 1;
    this.#at += 1;
    const length = this.#at - start;
    if (this.#at > end) throw new RangeError('a number is cut off');
    if (length > maxBytesOf64 || (is32Bit && length > maxBytesOf32 && length < maxBytesOf64)) {
      throw new RangeError(`a number of ${length} bytes`);
    }
  }

  #checkText(start: number): void {
    // A loop is faster than a call into the runtime for what most texts are: short, and ASCII.
    for (let at = start; at < this.#at; at += 1) {
      if ((this.#bytes[at] ?? 0) < 0x80) continue;
      if (!isUtf8(this.#bytes.subarray(at, this.#at))) throw new RangeError('a text is not UTF-8');
      return;
    }
  }
}
