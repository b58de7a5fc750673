/** What protobufjs would take as something else than was sent, or than every other language takes it, is refused. */
import { expect, it } from '@jest/globals';
import { commonV1, keeperV1, trackerV1 } from '@holdfast/proto';
import { limits } from '@holdfast/shared';
import { createHash } from 'node:crypto';

const { requestDeserialize: read, requestSerialize: write } = trackerV1.ClusterService.service.ListEvents;

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

it('reads what it wrote', () => {
  const request = { pageSize: 4_294_967_295, pageToken: 'é\uFFFD😀', afterEventId: Number.MAX_SAFE_INTEGER };
  expect(read(write(request))).toMatchObject(request);
});

it.each([
  ['one byte', '08 07', 7],
  ['one byte, in two', '08 8700', 7],
  ['ten bytes, a negative one', '08 ffff ffff ffff ffff ff01', 4_294_967_295],
])('goes on behind a number of %s', (_, bytes, pageSize) => {
  expect(read(hex(`${bytes} 1202 6869`))).toMatchObject({ pageSize, pageToken: 'hi' });
  expect(read(hex(bytes))).toMatchObject({ pageSize });
});

it.each([
  ['a text of a lone byte', '1201 ff'],
  ['a text with an overlong slash', '1202 c0af'],
  ['a text that ends in a character', '1202 e282'],
  ['a text behind a long number that hides it', '08 8180 8080 8080 8010 1202 e282'],
  ['six bytes for a number of 32 bits', '08 8780 8080 8001'],
  ['nine bytes for a number of 32 bits', '08 8780 8080 8080 8080 01 1202 6869'],
  ['a length of 2^32', '1280 8080 8010'],
  ['a length of 2^62', '1280 8080 8080 8080 8040'],
  ['a length of 2^62 of an unknown field', '6a80 8080 8080 8080 8040'],
  ['the end of a group in the place of a number', '0c7f'],
  ['a number in the place of a text', '1005'],
  ['a text in the place of a number', '0a02 6869'],
  ['a field 0', '0001'],
  ['a tag of more than 32 bits', '8880 8080 8001 01'],
  ['a tag of five bytes and more than 32 bits', '9280 8080 10 02 c0af'],
  ['a number of ten bytes and more than 64 bits', '18 ffff ffff ffff ffff ff7f'],
  ['a text that is cut off', '1205 6869'],
  ['a small number that is cut off', '08 80'],
  ['a large number that is cut off after one byte', '18 80'],
  ['a large number that is cut off after four bytes', '18 8080 8080'],
  ['a number of eleven bytes', '08 8080 8080 8080 8080 8080 01'],
  ['a large number of eleven bytes', '18 8080 8080 8080 8080 8080 01'],
  ['a tag that is cut off', '1202 6869 a2'],
  ['a group that does not end', 'a306'],
  ['an unknown field that is cut off', 'a206 05 6869'],
])('refuses %s', (_, bytes) => {
  expect(() => read(hex(bytes))).toThrow();
});

it('reads fields that it does not know, and numbers with and without packing', () => {
  expect(read(hex('1202 6869 2001 2a02 ffff 3101 0203 0405 0607 0839 1111 1111 1111 1111'))).toMatchObject({
    pageToken: 'hi',
  });
  const { deserialize } = commonV1.BlockRun;
  expect(deserialize(hex('1208 0100 0000 0200 0000'))).toMatchObject({ checksums: [1, 2] });
  expect(deserialize(hex('1501 0000 0015 0200 0000'))).toMatchObject({ checksums: [1, 2] });
});

it('reads facts of an error, and refuses what is wrong deep inside', () => {
  const { deserialize, serialize } = commonV1.ErrorDetail;
  const bytes = serialize({ message: 'm', facts: { path: '/é', other: '' } });
  expect(deserialize(bytes)).toMatchObject({ message: 'm', facts: { path: '/é', other: '' } });
  const at = bytes.indexOf('é');
  bytes[at + 1] = 0x41;
  expect(() => deserialize(bytes)).toThrow('UTF-8');
});

it('refuses an inner message that goes on behind its end', () => {
  const { requestDeserialize } = trackerV1.UploadService.service.CommitUpload;
  expect(requestDeserialize(hex('1a03 0a01 61')).files).toMatchObject([{ path: 'a' }]);
  expect(() => requestDeserialize(hex('1a03 0a03 612f 62'))).toThrow('cut off');
  expect(() => requestDeserialize(hex('1a05 0a03 612f'))).toThrow('cut off');
});

it.each([
  ['true in its upper half only', '1080 8080 8010'],
  ['true by its last bit only', '1080 8080 8080 8080 8080 01'],
  ['two', '1002'],
])('refuses a truth value that is %s', (_, bytes) => {
  const { requestDeserialize } = trackerV1.NamespaceService.service.DeleteEntry;
  expect(requestDeserialize(hex('1001'))).toMatchObject({ recursive: true });
  expect(requestDeserialize(hex('108000'))).toMatchObject({ recursive: false });
  expect(() => requestDeserialize(hex(bytes))).toThrow('truth');
});

it('refuses the second of two messages where one belongs, and of two fields of a oneof', () => {
  const locate = trackerV1.ChunkLocationService.service.LocateChunks.requestDeserialize;
  expect(locate(hex('1005'))).toMatchObject({ target: 'version', version: 5 });
  expect(locate(hex('0a02 2f61 1805'))).toMatchObject({ target: 'path', path: '/a', offset: 5 });
  expect(() => locate(hex('1005 0a02 2f61'))).toThrow('came before');
  const write = keeperV1.ChunkService.service.WriteChunk.requestDeserialize;
  expect(() => write(hex('0a02 1807 1202 0805'))).toThrow('came before');
  expect(() => write(hex('1202 0805 1206 1204 0100 0000'))).toThrow('came before');
});

it('refuses a message of more messages than any has', () => {
  const { requestDeserialize } = trackerV1.UploadService.service.CommitUpload;
  const commitOf = (files: number): Buffer => Buffer.alloc(2 * files, hex('1a00'));
  expect(requestDeserialize(commitOf(200_000)).files).toHaveLength(200_000);
  expect(() => requestDeserialize(commitOf(200_001))).toThrow('messages');
});

it('reads the largest commit that the limits allow', () => {
  const { requestDeserialize, requestSerialize } = trackerV1.UploadService.service.CommitUpload;
  const bytesOf = (number: number) => createHash('sha256').update(String(number)).digest();
  const idOf = (number: number) => bytesOf(number).toString('hex', 0, 16);
  const { maxFilesPerCommit, maxExtentsPerCommit, maxSealedPerCall, maxPieces } = limits;
  const extents = Array.from({ length: maxExtentsPerCommit / maxFilesPerCommit }, (_, index) => ({
    ...{ chunkId: idOf(index), chunkOffset: 2 ** 40, length: 2 ** 40 },
  }));
  const request = {
    ...{ uploadId: idOf(1), requestId: idOf(2), skipRefused: true },
    files: Array.from({ length: maxFilesPerCommit }, (_, index) => ({
      ...{
        path: `/a/b/c/d/e/f/g/h/i/${'x'.repeat(150)}${index}`,
        sizeBytes: 2 ** 43,
        expectedVersion: 2 ** 40,
        extents,
      },
      ...{ createParents: true, contentDigest: bytesOf(index), appendToVersion: 2 ** 40 },
      attributes: { modifiedAtUnixMs: 2 ** 41, mode: 0o777 },
    })),
    sealed: Array.from({ length: maxSealedPerCall }, (_, index) => ({
      ...{ chunkId: idOf(index), length: 2 ** 26, digest: bytesOf(index), fileOffset: 2 ** 43 },
      receipts: Array.from({ length: maxPieces }, (__, pieceIndex) => ({
        ...{ chunkId: idOf(index), pieceIndex, keeperId: idOf(pieceIndex), storageId: idOf(pieceIndex) },
        ...{ incarnation: 2 ** 40, length: 2 ** 26, digest: bytesOf(pieceIndex), signature: bytesOf(index) },
      })),
    })),
  };
  const bytes = requestSerialize(request);
  // What could not be sent anyway would show nothing.
  expect(bytes.length).toBeLessThan(limits.maxControlMessageBytes);
  expect(bytes.length).toBeGreaterThan(limits.maxControlMessageBytes * 0.6);
  expect(requestDeserialize(bytes).files).toHaveLength(maxFilesPerCommit);
});
