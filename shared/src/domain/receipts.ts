/**
 * Receipts: a keeper's signed word that a piece is on stable storage. The signature is an HMAC-SHA-256 by a key
 * that only the tracker and that one storage know, over these bytes (big-endian; docs/protocol.md has vectors):
 *
 *   chunk id (16) · piece index (4) · keeper id (16) · storage id (16) · incarnation (8) · length (8) · digest (32)
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { digestBytes } from './checksum.js';
import { isId } from './ids.js';

export interface UnsignedReceipt {
  readonly chunkId: string;
  readonly pieceIndex: number;
  readonly keeperId: string;
  readonly storageId: string;
  readonly incarnation: number;
  readonly lengthBytes: number;
  readonly digest: Buffer;
}

export interface Receipt extends UnsignedReceipt {
  readonly signature: Buffer;
}

function signatureOf(receipt: UnsignedReceipt, key: Uint8Array): Buffer {
  const body = Buffer.alloc(16 + 4 + 16 + 16 + 8 + 8 + digestBytes);
  body.write(receipt.chunkId, 0, 'hex');
  body.writeUInt32BE(receipt.pieceIndex, 16);
  body.write(receipt.keeperId, 20, 'hex');
  body.write(receipt.storageId, 36, 'hex');
  body.writeBigUInt64BE(BigInt(receipt.incarnation), 52);
  body.writeBigUInt64BE(BigInt(receipt.lengthBytes), 60);
  receipt.digest.copy(body, 68);
  return createHmac('sha256', key).update(body).digest();
}

export function signReceipt(receipt: UnsignedReceipt, key: Uint8Array): Receipt {
  return { ...receipt, signature: signatureOf(receipt, key) };
}

/** True if the storage that shares `key` signed exactly this. False for anything malformed. */
export function receiptIsValid(receipt: Receipt, key: Uint8Array): boolean {
  const wellFormed =
    isId(receipt.chunkId) &&
    isId(receipt.keeperId) &&
    isId(receipt.storageId) &&
    Number.isSafeInteger(receipt.incarnation) &&
    Number.isSafeInteger(receipt.lengthBytes) &&
    receipt.incarnation >= 0 &&
    receipt.lengthBytes >= 0 &&
    receipt.digest.length === digestBytes &&
    receipt.signature.length === 32;
  return wellFormed && timingSafeEqual(receipt.signature, signatureOf(receipt, key));
}
