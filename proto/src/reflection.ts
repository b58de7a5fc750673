/**
 * What gRPC's reflection service speaks and serves: its messages, and the contract as descriptors. Loaded when
 * somebody first asks: most servers are never asked, and it costs some milliseconds and half a megabyte.
 */
import { loadSync } from '@grpc/proto-loader';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readStrictly } from './strictly.js';

/** A file of the contract. */
interface DescribedFile {
  /** As it is imported: "holdfast/common/v1/types.proto". */
  readonly name: string;
  /** The names of the files that it imports. */
  readonly dependencies: readonly string[];
  /** The full names of its messages, enums, services and methods. */
  readonly symbols: readonly string[];
  /** Its google.protobuf.FileDescriptorProto. */
  readonly base64: string;
}

/** A question, with the one field set that `messageRequest` names. */
export interface ReflectionRequest {
  readonly messageRequest?: string;
  readonly listServices?: string;
  readonly fileByFilename?: string;
  readonly fileContainingSymbol?: string;
}

/** An answer; exactly one of the three last. */
export interface ReflectionResponse {
  readonly originalRequest: ReflectionRequest;
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Buffer[] };
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly errorResponse?: { readonly errorCode: number; readonly errorMessage: string };
}

export interface Reflection {
  readonly files: readonly DescribedFile[];
  readonly request: Codec<ReflectionRequest>;
  readonly response: Codec<ReflectionResponse>;
}

interface Codec<T> {
  serialize(message: T): Buffer;
  deserialize(bytes: Buffer): T;
}

let loaded: Reflection | undefined;

/** @throws Error if this package is not whole */
export function loadReflection(): Reflection {
  if (loaded) return loaded;
  const directory = fileURLToPath(new URL('..', import.meta.url));
  const definition = readStrictly(
    loadSync('grpc/reflection/v1/reflection.proto', { includeDirs: [directory], oneofs: true }),
  );
  const service = definition['grpc.reflection.v1.ServerReflection'] as unknown as Record<
    'ServerReflectionInfo',
    Methods
  >;
  const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } =
    service.ServerReflectionInfo;
  loaded = {
    files: JSON.parse(readFileSync(join(directory, 'descriptors.json'), 'utf8')) as DescribedFile[],
    request: { serialize: requestSerialize, deserialize: requestDeserialize },
    response: { serialize: responseSerialize, deserialize: responseDeserialize },
  };
  return loaded;
}

interface Methods {
  readonly requestSerialize: (message: ReflectionRequest) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => ReflectionRequest;
  readonly responseSerialize: (message: ReflectionResponse) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => ReflectionResponse;
}
