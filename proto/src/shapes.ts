/** What messages of the contract may have in them, from the descriptors that the loader gives with each definition. */
import type { PackageDefinition } from '@grpc/proto-loader';
import { createRequire } from 'node:module';

/** How a value is written: its kind of tag (https://protobuf.dev/programming-guides/encoding). */
export const wireTypes = { varint: 0, eightBytes: 1, length: 2, fourBytes: 5 } as const;

export interface Field {
  readonly wireType: number;
  /** Of a number that is a varint: 1 for a truth value. */
  readonly bits: 1 | 32 | 64;
  /** Several numbers may stand behind one tag. */
  readonly isPackable: boolean;
  readonly isText: boolean;
  /** Of a field that is a message. */
  readonly shape?: Shape;
  /** A bit for what may be there once only: a message that is not repeated, or one of the fields of a oneof. Else 0. */
  readonly onceBit: number;
}

/** The fields of a message by their numbers. */
export type Shape = ReadonlyMap<number, Field>;

/** As much as is used here of google.protobuf.FileDescriptorProto. */
interface FileDescriptor {
  readonly package: string;
  readonly messageType: readonly Descriptor[];
}

interface Descriptor {
  readonly name: string;
  readonly field: readonly FieldDescriptor[];
  readonly nestedType: readonly Descriptor[];
}

interface FieldDescriptor {
  readonly number: number;
  readonly label: number;
  readonly type: number;
  readonly typeName: string;
  readonly oneofIndex: number;
}

const repeatedLabel = 3;
/** FieldDescriptorProto.Type: what is no varint of 64 bits. */
const types = { bool: 8, text: 9, message: 11, bytes: 12 } as const;
const typesOf32Bits = [5, 13, 14, 17];
const typesOfEightBytes = [1, 6, 16];
const typesOfFourBytes = [2, 7, 15];
/** Of the numbers that operators take for bits. */
const maxOnceBits = 31;

const require = createRequire(import.meta.url);

/** The shapes of all messages by their full names, without a dot before them. */
export function shapesOf(definition: PackageDefinition): ReadonlyMap<string, Shape> {
  const { FileDescriptorProto } = createRequire(require.resolve('@grpc/proto-loader'))(
    'protobufjs/ext/descriptor',
  ) as { FileDescriptorProto: { decode(bytes: Buffer): FileDescriptor } };
  const encoded = Object.values(definition).flatMap((each) =>
    'fileDescriptorProtos' in each ? (each.fileDescriptorProtos as readonly Buffer[]) : [],
  );
  const descriptors = [...new Set(encoded)]
    .map((bytes) => FileDescriptorProto.decode(bytes))
    .flatMap((file) => file.messageType.flatMap((message) => withNested(file.package, message)));
  const shapes = new Map(descriptors.map(([name]) => [name, new Map<number, Field>()]));
  for (const [name, { field: fields }] of descriptors) {
    const onceBits = onceBitsOf(name, fields);
    for (const each of fields) {
      const { number, label, type, typeName } = each;
      const wireType = wireTypeOf(type);
      const shape = type === types.message ? shapeSeenFrom(name, typeName, shapes) : undefined;
      shapes.get(name)?.set(number, {
        wireType,
        bits: type === types.bool ? 1 : typesOf32Bits.includes(type) ? 32 : 64,
        isPackable: label === repeatedLabel && wireType !== wireTypes.length,
        isText: type === types.text,
        ...(shape && { shape }),
        onceBit: onceBits.get(each) ?? 0,
      });
    }
  }
  return shapes;
}

function withNested(scope: string, descriptor: Descriptor): readonly (readonly [string, Descriptor])[] {
  const name = `${scope}.${descriptor.name}`;
  return [[name, descriptor], ...descriptor.nestedType.flatMap((each) => withNested(name, each))];
}

function wireTypeOf(type: number): number {
  if (type === types.message || type === types.text || type === types.bytes) return wireTypes.length;
  if (typesOfEightBytes.includes(type)) return wireTypes.eightBytes;
  return typesOfFourBytes.includes(type) ? wireTypes.fourBytes : wireTypes.varint;
}

/** Fields of one oneof share a bit. */
function onceBitsOf(name: string, fields: readonly FieldDescriptor[]): ReadonlyMap<FieldDescriptor, number> {
  const keys = fields.map((field) => {
    // Its default says oneof 0, so that only what is really there counts.
    if (Object.hasOwn(field, 'oneofIndex')) return `oneof ${field.oneofIndex}`;
    return field.type === types.message && field.label !== repeatedLabel ? `field ${field.number}` : '';
  });
  const distinct = [...new Set(keys)].filter((key) => key !== '');
  if (distinct.length > maxOnceBits) throw new Error(`${name} has too many fields that may be there once`);
  return new Map(
    fields.map((field, at) => [field, keys[at] === '' ? 0 : 1 << distinct.indexOf(keys[at] ?? '')]),
  );
}

/** The message that `name` means within `scope`: names are looked up from the inside to the outside. */
export function shapeSeenFrom(scope: string, name: string, shapes: ReadonlyMap<string, Shape>): Shape {
  const shape = shapes.get(scope === '' ? name : `${scope}.${name}`);
  if (shape) return shape;
  if (scope === '') throw new Error(`the contract has no message ${name}`);
  return shapeSeenFrom(scope.slice(0, Math.max(0, scope.lastIndexOf('.'))), name, shapes);
}
