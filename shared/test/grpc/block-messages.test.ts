/** Messages with blocks have the bytes that the contract says, whichever way they are written and read. */
import { describe, expect, it } from '@jest/globals';
import { commonV1, keeperV1 } from '@holdfast/proto';
import { ByteParts, type Bytes, joinBytes } from '../../src/domain/bytes.js';
import { blockDeserializer, blockSerializer } from '../../src/grpc/index.js';
import { PartedMessage } from '../../src/grpc/parted-message.js';

const { WriteChunk, ReadChunk } = keeperV1.ChunkService.service;
const { StreamReplica } = keeperV1.ReplicaService.service;
const sizes = [1, 100, 127, 128, 16_383, 16_384, 65_536, 1_048_576];
const offsets = [0, 65_536, 2 ** 40];

function run(length: number, offset = 65_536): { offset: number; checksums: number[]; data: Buffer } {
  const checksums = Array.from({ length: Math.ceil(length / 65_536) }, (_, i) => i * 0x0fff_ffff);
  return { offset, checksums, data: Buffer.alloc(length, 'holdfast') };
}

/** As grpc-js takes it: behind the five bytes of a frame. */
function framed(message: Buffer): Buffer {
  const frame = Buffer.alloc(message.length + 5);
  message.copy(frame, 5);
  expect(message.byteLength).toBe(message.length);
  return frame.subarray(5);
}

/** As it comes from a socket, with cuts where frames and buffers end. */
function inParts(bytes: Buffer, partBytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += partBytes) parts.push(bytes.subarray(at, at + partBytes));
  return new PartedMessage(parts) as unknown as Buffer;
}

describe('blockSerializer', () => {
  it.each(sizes)('writes %i bytes as the contract says', (n) => {
    for (const offset of offsets) {
      for (const serialize of [
        WriteChunk.requestSerialize,
        ReadChunk.responseSerialize,
        StreamReplica.responseSerialize,
      ] as ((message: object) => Buffer)[]) {
        const blocks = run(n, offset);
        const half = Math.floor(n / 2);
        const expected = serialize({ blocks });
        const parts = new ByteParts([blocks.data.subarray(0, half), blocks.data.subarray(half)]);
        for (const data of [blocks.data, parts]) {
          const message = blockSerializer(serialize)({ blocks: { ...blocks, data } });
          expect(framed(message).equals(expected)).toBe(true);
        }
      }
    }
  });

  it('leaves messages without blocks, and empty ones, to the generated serialiser', () => {
    const serialize = blockSerializer(ReadChunk.responseSerialize);
    const empty = { offset: 1, data: Buffer.alloc(0) };
    for (const message of [{}, { header: { length: 5 } }, { blocks: empty }]) {
      expect(serialize(message)).toEqual(ReadChunk.responseSerialize(message));
    }
  });
});

describe('blockDeserializer', () => {
  const read = blockDeserializer(ReadChunk.responseDeserialize);
  const same = (bytes: Buffer, given: Buffer = bytes): Bytes | undefined => {
    const { blocks, ...rest } = read(given);
    const { blocks: expectedBlocks, ...expectedRest } = ReadChunk.responseDeserialize(bytes);
    expect(rest).toEqual(expectedRest);
    expect({ ...blocks, data: undefined }).toEqual({ ...expectedBlocks, data: undefined });
    const none = Buffer.alloc(0);
    expect(joinBytes(blocks?.data ?? none).equals(expectedBlocks?.data ?? none)).toBe(true);
    return blocks?.data;
  };

  it.each(sizes)('reads %i bytes in parts as the generated one reads them in one', (n) => {
    for (const offset of offsets) {
      const bytes = ReadChunk.responseSerialize({ blocks: run(n, offset) });
      for (const partBytes of [1, 7, 16_384, bytes.length]) {
        if (bytes.length / partBytes > 20_000) continue;
        expect(same(bytes, inParts(bytes, partBytes))).toBeInstanceOf(ByteParts);
      }
      same(bytes);
    }
  });

  it('does not copy the data', () => {
    const bytes = ReadChunk.responseSerialize({ blocks: run(65_536) });
    const [part] = (read(inParts(bytes, bytes.length)).blocks?.data as ByteParts).parts;
    expect(part?.buffer).toBe(bytes.buffer);
  });

  it('reads layouts that others may choose through the generated one', () => {
    const { offset, checksums, data } = run(100_000);
    const start = commonV1.BlockRun.serialize({ offset, checksums });
    const field = (tag: number, content: Buffer): Buffer =>
      Buffer.concat([Buffer.from([tag, ...varint(content.length)]), content]);
    const message = (runBytes: Buffer): Buffer => field(0x12, runBytes);
    const dataField = field(0x7a, data);
    const layouts = [
      message(Buffer.concat([dataField, start])),
      message(Buffer.concat([start, field(0x7a, Buffer.from('overwritten')), dataField])),
      message(Buffer.concat([start, dataField, Buffer.from([0x80, 0x01, 0x05])])),
      Buffer.concat([message(Buffer.concat([start, dataField])), Buffer.from([0x78, 0x01])]),
      message(Buffer.concat([Buffer.from([0x20, 0x09]), start, dataField])),
    ];
    for (const bytes of layouts) same(bytes, inParts(bytes, 1_000));
  });

  it('refuses what the generated one refuses', () => {
    const bytes = ReadChunk.responseSerialize({ blocks: run(50_000) });
    for (const damaged of [bytes.subarray(0, -1), bytes.subarray(0, 3), Buffer.from([0x12, 0xff, 0xff])]) {
      expect(() => ReadChunk.responseDeserialize(damaged)).toThrow();
      expect(() => read(inParts(damaged, 1_000))).toThrow();
    }
  });
});

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 0x80, ...varint(Math.floor(value / 128))];
}
