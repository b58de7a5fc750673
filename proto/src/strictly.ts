/**
 * Looks whether a message is one, before protobufjs reads it, which is lenient: it takes text that is not UTF-8, and
 * then another text than was sent; text and numbers that are cut off; numbers of 6 to 9 bytes for small ones, behind
 * which it goes on in the midst of what follows; tags, lengths and truth values of more than 32 bits, less what is above
 * those; any value of a field whatever its tag says it is; and the second of two messages, or two fields of a oneof.
 * Also, from 16 MiB of two-byte elements it would make gigabytes of objects.
 */
import type { MessageTypeDefinition, PackageDefinition } from '@grpc/proto-loader';
import { Inspection } from './inspection.js';
import { type Shape, shapeSeenFrom, shapesOf } from './shapes.js';

type AnyDefinition = PackageDefinition[string];
type Message = MessageTypeDefinition<object, object>;
type Deserialize = (bytes: Buffer) => object;

/** Makes all messages of a package be looked at before they are read. */
export function readStrictly(definition: PackageDefinition): PackageDefinition {
  const shapes = shapesOf(definition);
  const strictDefinition = (name: string, each: AnyDefinition): AnyDefinition => {
    const shapeOf = (message: string): Shape => shapeSeenFrom(name, message, shapes);
    if (isMessage(each))
      return { ...each, deserialize: strictly(each.deserialize, shapeSeenFrom('', name, shapes)) };
    if ('format' in each) return each;
    const methods = Object.entries(each).map(([method, its]) => [
      method,
      {
        ...its,
        requestDeserialize: strictly(its.requestDeserialize, shapeOf(nameOf(its.requestType))),
        responseDeserialize: strictly(its.responseDeserialize, shapeOf(nameOf(its.responseType))),
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

/** Of the contract: the messages of its methods stand in the same package as the service. */
function nameOf({ type }: Message): string {
  return (type as { readonly name: string }).name;
}

function isMessage(definition: AnyDefinition): definition is Message {
  return 'deserialize' in definition;
}
