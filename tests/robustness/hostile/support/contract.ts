/**
 * Every method of every service with the shapes of its messages, from the descriptors that come with their definitions:
 * a method that is added to the contract is fuzzed from that moment on.
 */
import { keeperV1, trackerV1 } from '@holdfast/proto';
import { bytesOf, numberOf, readFields, textOf } from './wire.js';

type Kind = 'varint' | 'fixed32' | 'fixed64' | 'text' | 'bytes' | 'message';

export interface Field {
  /** "keeper_id". */
  readonly name: string;
  readonly number: number;
  readonly kind: Kind;
  readonly repeated: boolean;
  /** Messages: the shape's name, as seen from this one. */
  readonly typeName: string;
}

export interface Shape {
  readonly name: string;
  readonly fields: readonly Field[];
}

export interface Method {
  /** "/holdfast.tracker.v1.NamespaceService/GetEntry". */
  readonly path: string;
  readonly name: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly request: Shape;
  readonly response: Shape;
}

/** By FieldDescriptorProto.Type. */
const kinds: Readonly<Record<number, Kind>> = {
  ...{ 1: 'fixed64', 2: 'fixed32', 3: 'varint', 4: 'varint', 5: 'varint', 6: 'fixed64', 7: 'fixed32' },
  ...{ 8: 'varint', 9: 'text', 11: 'message', 12: 'bytes', 13: 'varint', 14: 'varint' },
  ...{ 15: 'fixed32', 16: 'fixed64', 17: 'varint', 18: 'varint' },
};
const repeatedLabel = 3;

/** As in the .proto file: the loader's descriptors have keeperId for keeper_id. */
function asDeclared(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export class Contract {
  readonly #shapes = new Map<string, Shape>();
  readonly methods: Method[] = [];

  /** @param files serialised FileDescriptorProtos */
  constructor(files: readonly Buffer[]) {
    const parsed = files.map(readFields);
    for (const file of parsed) {
      for (const message of bytesOf(file, 4)) this.#addShape(textOf(file, 2), message);
    }
    for (const file of parsed) {
      for (const service of bytesOf(file, 6)) this.#addService(textOf(file, 2), service);
    }
  }

  /** @param name full, with a dot before it, or seen from inside of `scope` */
  shape(name: string, scope = ''): Shape {
    for (let from = name.startsWith('.') ? '' : scope; ;) {
      const shape = this.#shapes.get(from === '' ? name.replace(/^\./, '') : `${from}.${name}`);
      if (shape) return shape;
      if (from === '') throw new Error(`the contract has no message ${name}`);
      from = from.slice(0, Math.max(0, from.lastIndexOf('.')));
    }
  }

  #addShape(scope: string, message: Buffer): void {
    const parts = readFields(message);
    const name = `${scope}.${textOf(parts, 1)}`;
    const fields = bytesOf(parts, 2).map((bytes): Field => {
      const field = readFields(bytes);
      return {
        name: asDeclared(textOf(field, 1)),
        number: numberOf(field, 3),
        kind: kinds[numberOf(field, 5)] ?? 'bytes',
        repeated: numberOf(field, 4) === repeatedLabel,
        typeName: textOf(field, 6),
      };
    });
    this.#shapes.set(name, { name, fields });
    for (const nested of bytesOf(parts, 3)) this.#addShape(name, nested);
  }

  #addService(scope: string, service: Buffer): void {
    const parts = readFields(service);
    const serviceName = `${scope}.${textOf(parts, 1)}`;
    for (const bytes of bytesOf(parts, 2)) {
      const method = readFields(bytes);
      const type = (number: number): Shape => this.shape(textOf(method, number), serviceName);
      this.methods.push({
        path: `/${serviceName}/${textOf(method, 1)}`,
        name: textOf(method, 1),
        requestStream: numberOf(method, 5) === 1,
        responseStream: numberOf(method, 6) === 1,
        request: type(2),
        response: type(3),
      });
    }
  }
}

interface Described {
  readonly service: Readonly<Record<string, unknown>>;
}

/** The contract that a package's services are of. */
function contractOf(services: Readonly<Record<string, unknown>>): Contract {
  const [first] = Object.values(services).flatMap((each) =>
    typeof each === 'function' ? Object.values((each as unknown as Described).service) : [],
  );
  const { requestType } = first as { requestType: { fileDescriptorProtos: readonly Buffer[] } };
  return new Contract(requestType.fileDescriptorProtos);
}

/** The descriptors are of all files at once. */
export const contract = contractOf(trackerV1);

const standard = (path: string, streams: boolean): Method => ({
  path,
  name: path.slice(path.lastIndexOf('/') + 1),
  requestStream: streams,
  responseStream: streams || path.endsWith('/Watch'),
  request: {
    name: 'a text in each of the first fields',
    fields: [1, 3, 4, 6, 7].map((number) => ({
      ...{ name: 'service', number, kind: 'text', repeated: false, typeName: '' },
    })),
  },
  response: { name: 'whatever it is', fields: [] },
});

/** gRPC's own services, which both servers have. */
const standardMethods: readonly Method[] = [
  standard('/grpc.health.v1.Health/Check', false),
  standard('/grpc.health.v1.Health/Watch', false),
  standard('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', true),
  standard('/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', true),
];

function methodsOf(prefix: string): readonly Method[] {
  return [...contract.methods.filter(({ path }) => path.startsWith(prefix)), ...standardMethods];
}

export const trackerMethods = methodsOf('/holdfast.tracker.');
export const keeperMethods = methodsOf('/holdfast.keeper.');

/** The paths of all methods that the definitions name: what must be among those above. */
export function definedPaths(): string[] {
  return [...Object.values(trackerV1), ...Object.values(keeperV1)].flatMap((each) =>
    typeof each === 'function'
      ? Object.values((each as unknown as { service: Record<string, { path: string }> }).service).map(
          ({ path }) => path,
        )
      : [],
  );
}
