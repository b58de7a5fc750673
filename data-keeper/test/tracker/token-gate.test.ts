/** What tokens allow, and until when: by the uptime of the tracker that signed them, not by any clock of ours. */
import { describe, expect, it } from '@jest/globals';
import { newId, signToken } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { TokenGate } from '../../src/tracker/token-gate.js';

const key = systemRandom.bytes(32);
const chunkId = newId(systemRandom);
const wanted = { operations: ['read' as const], chunkId };

function gate(wish: { uptimeMs?: number; knownForMs?: number }): TokenGate {
  const current = {
    clusterId: newId(systemRandom),
    epoch: 5,
    instanceId: newId(systemRandom),
    transactionId: 0,
  };
  const { uptimeMs = 0, knownForMs = 0 } = wish;
  return new TokenGate(
    { current, estimatedUptimeMs: uptimeMs, epochKnownForMs: knownForMs },
    () => key,
    1_000,
  );
}

function token(epoch: number, expiresAtUptimeMs = 100): Buffer {
  return signToken({ operation: 'read', chunkId, epoch, expiresAtUptimeMs }, key);
}

describe('TokenGate', () => {
  it('lets a token of this epoch live until its uptime', () => {
    expect(() => gate({ uptimeMs: 100 }).check(token(5), wanted)).not.toThrow();
    expect(() => gate({ uptimeMs: 101 }).check(token(5), wanted)).toThrow(
      expect.objectContaining({ code: 'TOKEN_EXPIRED' }),
    );
  });

  it('takes one for what it is for, and for nothing else', () => {
    const uploadId = newId(systemRandom);
    const write = { operation: 'write' as const, chunkId, uploadId, maxLengthBytes: 10 };
    const given = signToken({ ...write, epoch: 5, expiresAtUptimeMs: 100 }, key);
    const asked = { operations: ['write' as const], chunkId, uploadId, lengthBytes: 10 };
    expect(() => gate({}).check(given, asked)).not.toThrow();
    for (const other of [
      { ...asked, operations: ['read' as const] },
      { ...asked, chunkId: newId(systemRandom) },
      { ...asked, uploadId: newId(systemRandom) },
    ]) {
      expect(() => gate({}).check(given, other)).toThrow(
        expect.objectContaining({ code: 'UNAUTHENTICATED' }),
      );
    }
    expect(() => gate({}).check(given, { ...asked, lengthBytes: 11 })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it('lets one of an earlier epoch live for a lifetime after the new one was learned', () => {
    expect(() => gate({ uptimeMs: 1e9, knownForMs: 1_000 }).check(token(4), wanted)).not.toThrow();
    expect(() => gate({ knownForMs: 1_001 }).check(token(4), wanted)).toThrow(
      expect.objectContaining({ code: 'TOKEN_EXPIRED' }),
    );
  });

  it('takes one of an epoch that it has not heard of yet', () => {
    expect(() => gate({ uptimeMs: 1e9, knownForMs: 1e9 }).check(token(6, 0), wanted)).not.toThrow();
  });
});
