/** gRPC reflection over a socket; tests/languages has a client of another language use it. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Client, credentials } from '@grpc/grpc-js';
import { type ReflectionRequest, type ReflectionResponse, loadReflection } from '@holdfast/proto';
import { addReflection, createServer, listen, shutDown } from '../../src/grpc/index.js';

const server = createServer({ maxMessageBytes: 1024 * 1024 });
let client: Client;

beforeAll(async () => {
  addReflection(server, ['holdfast.tracker.v1.UploadService']);
  client = new Client(await listen(server, '127.0.0.1:0'), credentials.createInsecure());
});

afterAll(async () => {
  client.close();
  await shutDown(server, 1_000);
});

/** What comes back for some questions on one stream; rejects with the stream's error. */
function ask(
  questions: readonly (ReflectionRequest | Buffer)[],
  version = 'v1',
): Promise<ReflectionResponse[]> {
  const { request, response } = loadReflection();
  const call = client.makeBidiStreamRequest<ReflectionRequest | Buffer, ReflectionResponse>(
    `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    (question) => (Buffer.isBuffer(question) ? question : request.serialize(question)),
    (bytes) => response.deserialize(bytes),
    { deadline: Date.now() + 60_000 },
  );
  return new Promise((resolve, reject) => {
    const answers: ReflectionResponse[] = [];
    call.on('data', (answer: ReflectionResponse) => answers.push(answer));
    call.on('error', reject);
    call.on('end', () => resolve(answers));
    for (const question of questions) call.write(question);
    call.end();
  });
}

it.each(['v1', 'v1alpha'])(
  '%s: says its services, and the files of a symbol with all that they need',
  async (version) => {
    const answers = await ask(
      [
        { listServices: '*' },
        { fileContainingSymbol: 'holdfast.tracker.v1.UploadService.BeginUpload' },
        { fileByFilename: 'holdfast/common/v1/error.proto' },
        { fileContainingSymbol: 'holdfast.Nothing' },
      ],
      version,
    );
    const [list, uploads, errors, nothing] = answers;
    expect(list?.listServicesResponse?.service.map(({ name }) => name)).toEqual([
      'holdfast.tracker.v1.UploadService',
      'grpc.reflection.v1.ServerReflection',
    ]);
    const files = uploads?.fileDescriptorResponse?.fileDescriptorProto.map((file) => file.toString('latin1'));
    expect(files?.[0]).toContain('holdfast/tracker/v1/upload_service.proto');
    // Imported by what it imports.
    expect(files?.some((file) => file.startsWith('\n\x1eholdfast/common/v1/error.proto'))).toBe(true);
    expect(errors?.fileDescriptorResponse?.fileDescriptorProto).toHaveLength(1);
    expect(nothing?.errorResponse).toMatchObject({ errorCode: 5 });
  },
);

it.each([
  ['not protobuf', Buffer.from('ff', 'hex')],
  ['longer than any name', Buffer.concat([Buffer.from('3a8180', 'hex'), Buffer.alloc(100_000, 'a')])],
])('refuses what is %s, and goes on serving', async (_what, bytes) => {
  const refused = await ask([bytes]).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 3 });
  expect(await ask([{ listServices: '' }])).toHaveLength(1);
});
