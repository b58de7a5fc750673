import { describe, expect, it } from '@jest/globals';
import { blockChecksums, ChecksumTable } from '../../src/domain/checksum.js';
import { receiptIsValid, signReceipt, type UnsignedReceipt } from '../../src/domain/receipts.js';

const key = Buffer.alloc(32, 1);
const unsigned: UnsignedReceipt = {
  chunkId: '0'.repeat(32),
  pieceIndex: 0,
  keeperId: '1'.repeat(32),
  storageId: '2'.repeat(32),
  incarnation: 5,
  lengthBytes: 70_000,
  digest: Buffer.alloc(32, 3),
};

describe('receipts', () => {
  it('hold for exactly what was signed', () => {
    const receipt = signReceipt(unsigned, key);
    expect(receiptIsValid(receipt, key)).toBe(true);
    const changes: Partial<UnsignedReceipt>[] = [
      { chunkId: 'a'.repeat(32) },
      { pieceIndex: 1 },
      { keeperId: 'a'.repeat(32) },
      { storageId: 'a'.repeat(32) },
      { incarnation: 6 },
      { lengthBytes: 70_001 },
      { digest: Buffer.alloc(32, 4) },
    ];
    for (const change of changes) expect(receiptIsValid({ ...receipt, ...change }, key)).toBe(false);
    expect(receiptIsValid(receipt, Buffer.alloc(32, 2))).toBe(false);
  });

  // docs/protocol.md gives it to other languages.
  it('have the signature of the documented test vector', () => {
    const data = Buffer.alloc(70_000, 'a');
    const table = new ChecksumTable(data.length);
    blockChecksums(data).forEach((checksum, index) => table.set(index, checksum));
    expect(table.bytes().toString('hex')).toBe('c32091ff6b0734b4');
    const receipt = signReceipt(
      { ...unsigned, chunkId: '00112233445566778899aabbccddeeff', digest: table.digest() },
      key,
    );
    expect(receipt.signature.toString('hex')).toBe(
      '9b5b0a45990bdbdb325280554224c1aa44bd42f5dc235688264dd3b299c8acf1',
    );
  });

  it('are merely invalid when malformed', () => {
    const receipt = signReceipt(unsigned, key);
    expect(receiptIsValid({ ...receipt, signature: Buffer.alloc(0) }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, digest: Buffer.alloc(31) }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, chunkId: 'nonsense' }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, incarnation: -1 }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, lengthBytes: Number.NaN }, key)).toBe(false);
  });
});
