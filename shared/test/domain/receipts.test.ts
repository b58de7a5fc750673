import { describe, expect, it } from '@jest/globals';
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

  it('are merely invalid when malformed', () => {
    const receipt = signReceipt(unsigned, key);
    expect(receiptIsValid({ ...receipt, signature: Buffer.alloc(0) }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, digest: Buffer.alloc(31) }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, chunkId: 'nonsense' }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, incarnation: -1 }, key)).toBe(false);
    expect(receiptIsValid({ ...receipt, lengthBytes: Number.NaN }, key)).toBe(false);
  });
});
