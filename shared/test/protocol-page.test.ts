/** docs/protocol.md gives other languages bytes to compare with: the page must not say others than the code. */
import { Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from '@jest/globals';
import { keeperV1 } from '@holdfast/proto';
import { readFileSync } from 'node:fs';
import { fromServiceError } from '../src/grpc/index.js';
import { ChecksumTable, blockChecksums, limits, signReceipt, signToken } from '../src/index.js';

const text = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
/** Long values stand in several lines. */
const page = text.replace(/\s+/g, '');
const says = (value: string): void =>
  expect({ value, isThere: page.includes(value.replace(/\s+/g, '')) }).toEqual({ value, isThere: true });

function digested(data: Buffer): { checksums: number[]; table: ChecksumTable } {
  const table = new ChecksumTable(data.length);
  const checksums = [...blockChecksums(data)];
  checksums.forEach((checksum, index) => table.set(index, checksum));
  return { checksums, table };
}

describe('docs/protocol.md says what the code does:', () => {
  it('checksums and digests', () => {
    says(`crc32("123456789")=0x${blockChecksums(Buffer.from('123456789'))[0]!.toString(16).toUpperCase()}`);
    const { table } = digested(Buffer.alloc(70_000, 'a'));
    says('`' + table.bytes().toString('hex').replace(/^.{8}/, '$& ') + '`');
    says('`' + table.digest().toString('hex') + '`');
  });

  it('the example of an upload', () => {
    const data = Buffer.from('hello\n');
    const { checksums, table } = digested(data);
    says(`"checksums": [${checksums[0]}], "data": "${data.toString('base64')}"`);
    says('`' + table.bytes().toString('hex') + '`');
    says('`' + table.digest().toString('hex') + '`');
    says(`"digest": "${table.digest().toString('base64')}"`);
    const { requestSerialize } = keeperV1.ChunkService.service.WriteChunk;
    says('`' + requestSerialize({ blocks: { checksums, data } }).toString('hex') + '`');
  });

  it('errors on the wire', () => {
    // Read and not written: which defaults are spelt out differs from one protobuf to the next.
    const metadata = new Metadata();
    const [, bytes = ''] = /```(0805[0-9a-f]+)```/.exec(page) ?? [];
    metadata.set('grpc-status-details-bin', Buffer.from(bytes, 'hex'));
    expect(fromServiceError({ code: 5, details: '', metadata }, 'tracker')).toMatchObject({
      ...{ code: 'NOT_FOUND', message: '/nope does not exist', facts: { path: '/nope' } },
    });
  });

  it('tokens and receipts', () => {
    const chunkId = '00112233445566778899aabbccddeeff';
    const token = signToken(
      {
        ...{ operation: 'write', chunkId, uploadId: 'ffeeddccbbaa99887766554433221100' },
        ...{ maxLengthBytes: 16_777_216, epoch: 3, expiresAtUptimeMs: 900_000 },
      },
      Buffer.alloc(32, 7),
    );
    says('```' + token.toString('hex') + '```');
    const { table } = digested(Buffer.alloc(70_000, 'a'));
    const receipt = signReceipt(
      {
        ...{ chunkId, pieceIndex: 0, keeperId: '1'.repeat(32), storageId: '2'.repeat(32) },
        ...{ incarnation: 5, lengthBytes: 70_000, digest: table.digest() },
      },
      Buffer.alloc(32, 1),
    );
    says('`' + receipt.signature.toString('hex') + '`');
  });

  it('bounds', () => {
    const MiB = 1024 * 1024;
    const number = (value: number): string => value.toLocaleString('en');
    const row = (what: string, bound: string): void =>
      expect(text.replace(/ +/g, ' ')).toContain(`| ${what} | ${bound} |`);
    row('data in one `BlockRun`', `${limits.messageDataBytes / MiB} MiB`);
    row('a data message', `1 MiB and ${(limits.maxDataMessageBytes - MiB) / 1024} KiB`);
    row('a message of metadata', `${limits.maxControlMessageBytes / MiB} MiB`);
    row('pieces of a chunk', String(limits.maxPieces));
    row('chunks in one allocation', String(limits.maxAllocateCount));
    row('sealed chunks in one call', number(limits.maxSealedPerCall));
    row(
      'files, extents in one commit',
      `${number(limits.maxFilesPerCommit)}, ${number(limits.maxExtentsPerCommit)}`,
    );
    row('a name, a path', `${limits.maxNameBytes} bytes, ${number(limits.maxPathBytes)} bytes`);
    row('a page of entries', number(limits.maxListPageSize));
    row('a page of located extents', number(limits.maxLocatePageSize));
  });
});
