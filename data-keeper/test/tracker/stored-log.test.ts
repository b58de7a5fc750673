/** News of stored pieces: none is lost between heartbeats, reports and overflow. */
import { describe, expect, it } from '@jest/globals';
import { limits } from '@holdfast/shared';
import { StoredLog } from '../../src/tracker/stored-log.js';
import type { PieceSummary } from '../../src/tracker/tracker-link.js';

function piece(n: number): PieceSummary {
  return {
    chunkId: n.toString(16).padStart(32, '0'),
    pieceIndex: 0,
    lengthBytes: 1,
    digest: Buffer.alloc(32),
  };
}

describe('StoredLog', () => {
  it('keeps a piece until it is acknowledged, and tells at most a heartbeat’s worth', () => {
    const log = new StoredLog();
    for (let n = 0; n <= limits.maxStoredPerHeartbeat; n += 1) log.add(piece(n));
    const told = log.next();
    expect(told).toHaveLength(limits.maxStoredPerHeartbeat);
    expect(log.next()).toEqual(told);
    log.acknowledge(told);
    expect(log.next()).toEqual([piece(limits.maxStoredPerHeartbeat)]);
  });

  it('tells again after a report what was acknowledged during it', () => {
    const log = new StoredLog();
    log.add(piece(1));
    log.acknowledge(log.next());
    log.reportBegins();
    log.add(piece(2));
    log.acknowledge(log.next());
    expect(log.next()).toEqual([]);
    expect(log.reportEnds()).toBe(false);
    expect(log.next()).toEqual([piece(2)]);
  });

  it('tells nothing of a piece that was trashed since', () => {
    const log = new StoredLog();
    log.add(piece(1));
    log.reportBegins();
    log.add(piece(2));
    log.acknowledge([piece(2)]);
    log.forget([piece(1).chunkId, piece(2).chunkId]);
    log.reportEnds();
    expect(log.next()).toEqual([]);
  });

  it('asks for a report when it had to drop something', () => {
    const log = new StoredLog();
    for (let n = 0; n <= 20 * limits.maxStoredPerHeartbeat; n += 1) log.add(piece(n));
    expect(log.overflowed).toBe(true);
    log.reportBegins();
    expect(log.overflowed).toBe(false);
  });
});
