import { describe, expect, it } from '@jest/globals';
import { openToken, signToken, type TokenClaims } from '../../src/domain/tokens.js';

const key = Buffer.alloc(32, 7);
const write: TokenClaims = {
  operation: 'write',
  chunkId: '00112233445566778899aabbccddeeff',
  uploadId: 'ffeeddccbbaa99887766554433221100',
  maxLengthBytes: 16_777_216,
  epoch: 3,
  expiresAtUptimeMs: 900_000,
};
const read: TokenClaims = {
  operation: 'read',
  chunkId: '00112233445566778899aabbccddeeff',
  epoch: 2 ** 40,
  expiresAtUptimeMs: 2 ** 50,
};

describe('tokens', () => {
  it.each([write, read])('carry their claims: $operation', (claims) => {
    expect(openToken(signToken(claims, key), key)).toEqual(claims);
  });

  // Other languages check their reading of docs/protocol.md against this one.
  it('have the bytes of the documented test vector', () => {
    expect(signToken(write, key).toString('hex')).toBe(
      '010100112233445566778899aabbccddeeffffeeddccbbaa9988776655443322110000000000010000000000000000000003' +
        '00000000000dbba00000000000' +
        'f749134c3d10f84820636b1b669b973b9774dd4972cdef91b10beac2c6a7dd69',
    );
  });

  it('are refused when any byte is changed, cut or signed by another key', () => {
    const token = signToken(write, key);
    const refused = expect.objectContaining({ code: 'UNAUTHENTICATED' }) as Error;
    for (let index = 0; index < token.length; index += 1) {
      const forged = Buffer.from(token);
      forged.writeUInt8(forged.readUInt8(index) ^ 1, index);
      expect(() => openToken(forged, key)).toThrow(refused);
    }
    expect(() => openToken(token.subarray(1), key)).toThrow(refused);
    expect(() => openToken(Buffer.alloc(0), key)).toThrow(refused);
    expect(() => openToken(token, Buffer.alloc(32, 8))).toThrow(refused);
  });
});
