/**
 * Tokens: the tracker's word that the bearer may write or read one chunk. A keeper checks one without asking
 * anybody (an HMAC costs 3 µs; a public-key signature 100).
 *
 * Tokens expire by the tracker's uptime, not by a wall clock (S11): a keeper knows the uptime from its last
 * heartbeat and its own monotonic clock. A token of an earlier epoch stays good for a lifetime after the keeper
 * learned of the new one, so that a restart of the tracker does not cut uploads.
 *
 * Layout, big-endian, 95 bytes; docs/protocol.md has test vectors:
 *
 *   offset  bytes
 *        0      1  format version, 1
 *        1      1  1 = write, 2 = read
 *        2     16  chunk id
 *       18     16  upload id; zeros for a read
 *       34      8  the longest chunk that may be written, bytes; 0 for a read
 *       42      8  tracker epoch
 *       50      8  expiry: tracker uptime in ms
 *       58      5  reserved, zeros
 *       63     32  HMAC-SHA-256 of bytes 0 to 62 by the cluster's token key
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { HoldfastError } from '../errors/index.js';

const formatVersion = 1;
const bodyBytes = 63;
const tokenBytes = bodyBytes + 32;
const operations = { write: 1, read: 2 } as const;
const noUpload = '0'.repeat(32);

export interface TokenClaims {
  readonly operation: 'write' | 'read';
  readonly chunkId: string;
  /** Writes: the session that owns the chunk. */
  readonly uploadId?: string;
  /** Writes: the longest chunk, in bytes. */
  readonly maxLengthBytes?: number;
  readonly epoch: number;
  readonly expiresAtUptimeMs: number;
}

function macOf(body: Uint8Array, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(body).digest();
}

export function signToken(claims: TokenClaims, key: Uint8Array): Buffer {
  const token = Buffer.alloc(tokenBytes);
  token.writeUInt8(formatVersion, 0);
  token.writeUInt8(operations[claims.operation], 1);
  token.write(claims.chunkId, 2, 'hex');
  token.write(claims.uploadId ?? noUpload, 18, 'hex');
  token.writeBigUInt64BE(BigInt(claims.maxLengthBytes ?? 0), 34);
  token.writeBigUInt64BE(BigInt(claims.epoch), 42);
  token.writeBigUInt64BE(BigInt(Math.ceil(claims.expiresAtUptimeMs)), 50);
  macOf(token.subarray(0, bodyBytes), key).copy(token, bodyBytes);
  return token;
}

/**
 * Opens a token: checks its form and signature, not yet whether it fits the call or has expired.
 *
 * @throws HoldfastError UNAUTHENTICATED
 */
export function openToken(token: Uint8Array, key: Uint8Array): TokenClaims {
  const bytes = Buffer.from(token.buffer, token.byteOffset, token.byteLength);
  const refuse = (why: string): HoldfastError =>
    new HoldfastError('UNAUTHENTICATED', `the token is refused: ${why}`, {
      remedy: 'Ask the tracker for a token and pass it on unchanged.',
    });
  if (bytes.length !== tokenBytes) throw refuse(`it has ${bytes.length} bytes, not ${tokenBytes}`);
  if (bytes.readUInt8(0) !== formatVersion) throw refuse('it has an unknown format');
  if (!timingSafeEqual(macOf(bytes.subarray(0, bodyBytes), key), bytes.subarray(bodyBytes))) {
    throw refuse('its signature is wrong');
  }
  const epoch = Number(bytes.readBigUInt64BE(42));
  const expiresAtUptimeMs = Number(bytes.readBigUInt64BE(50));
  const chunkId = bytes.toString('hex', 2, 18);
  if (bytes.readUInt8(1) === operations.read) return { operation: 'read', chunkId, epoch, expiresAtUptimeMs };
  return {
    operation: 'write',
    chunkId,
    uploadId: bytes.toString('hex', 18, 34),
    maxLengthBytes: Number(bytes.readBigUInt64BE(34)),
    epoch,
    expiresAtUptimeMs,
  };
}
