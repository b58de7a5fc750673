/**
 * gRPC's reflection service (v1, and v1alpha for older tools), by which grpcurl and others learn the contract from a
 * running server, comments included. Anybody who can reach the port may ask: the contract is no secret.
 */
import { type Server, type ServerDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';
import { type ReflectionRequest, type ReflectionResponse, loadReflection } from '@holdfast/proto';
import { HoldfastError } from '../errors/index.js';
import { limits } from '../limits.js';
import { readLittleAhead } from './insides/server.js';
import { bidiStream } from './server.js';

/** A question is a name; the longest there could be is far from this. */
const maxQuestionBytes = limits.maxPathBytes;

type Answer = Omit<ReflectionResponse, 'originalRequest'>;

/** @param services the full names of what the server serves, beside reflection */
export function addReflection(server: Pick<Server, 'addService'>, services: readonly string[]): void {
  for (const version of ['v1', 'v1alpha'] as const) {
    server.addService(definitionOf(version), {
      ServerReflectionInfo: (call: ServerDuplexStream<Buffer, ReflectionResponse>) => {
        readLittleAhead(call);
        bidiStream<Buffer, ReflectionResponse>((bytes) => answer(bytes, services))(call);
      },
    });
  }
}

/** Requests stay bytes until their length is known to be harmless. */
function definitionOf(version: 'v1' | 'v1alpha'): ServiceDefinition {
  const method = {
    path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (response: ReflectionResponse) => loadReflection().response.serialize(response),
    responseDeserialize: (bytes: Buffer) => loadReflection().response.deserialize(bytes),
  };
  return { ServerReflectionInfo: method };
}

/** @throws HoldfastError INVALID_ARGUMENT for what is no question */
function answer(bytes: Buffer, services: readonly string[]): ReflectionResponse {
  if (bytes.length > maxQuestionBytes) {
    throw new HoldfastError('INVALID_ARGUMENT', `a reflection request has at most ${maxQuestionBytes} bytes`);
  }
  let request: ReflectionRequest;
  try {
    request = loadReflection().request.deserialize(bytes);
  } catch (cause) {
    throw new HoldfastError('INVALID_ARGUMENT', 'the reflection request cannot be read', { cause });
  }
  return { originalRequest: request, ...answerTo(request, services) };
}

function answerTo(request: ReflectionRequest, services: readonly string[]): Answer {
  const { files } = loadReflection();
  switch (request.messageRequest) {
    case 'listServices':
      return {
        listServicesResponse: {
          service: [...services, 'grpc.reflection.v1.ServerReflection'].map((name) => ({ name })),
        },
      };
    case 'fileByFilename':
      return withImports(files.find(({ name }) => name === request.fileByFilename)?.name);
    case 'fileContainingSymbol': {
      const symbol = request.fileContainingSymbol ?? '';
      return withImports(files.find(({ symbols }) => symbols.includes(symbol))?.name);
    }
    default:
      // The contract is proto3 and has no extensions.
      return failed(status.UNIMPLEMENTED, 'there are no extensions');
  }
}

/** A file and all that it needs, each once, so that one question is enough. */
function withImports(name: string | undefined): Answer {
  if (name === undefined) return failed(status.NOT_FOUND, 'it is not in the contract');
  const { files } = loadReflection();
  const wanted = new Set([name]);
  // A set that is added to while it is gone through comes to what was added.
  for (const each of wanted) {
    for (const dependency of files.find((file) => file.name === each)?.dependencies ?? []) {
      wanted.add(dependency);
    }
  }
  const fileDescriptorProto = [...wanted].flatMap((each) =>
    files.filter((file) => file.name === each).map(({ base64 }) => Buffer.from(base64, 'base64')),
  );
  return { fileDescriptorResponse: { fileDescriptorProto } };
}

function failed(errorCode: number, errorMessage: string): Answer {
  return { errorResponse: { errorCode, errorMessage } };
}
