import { describe, expect, it } from '@jest/globals';
import { Membership } from '../../src/membership/membership.js';
import { capacity, heartbeat, membershipOf, registration, run } from './fixtures.js';

const MINUTE_MS = 60_000;

describe('a lease', () => {
  it('makes a silent keeper suspect after 5 s and dead after 30 s', () => {
    const membership = membershipOf(['a']);
    expect(run(membership, 0, 60_000)).toEqual(['a: live > suspect at 5000', 'a: suspect > dead at 30000']);
    expect(membership.get('a')).toMatchObject({ state: 'dead', deadSinceMs: 30_000, lastHeardMs: 0 });
  });

  it('is renewed by heartbeats', () => {
    const membership = membershipOf(['a']);
    for (let nowMs = 1_000; nowMs <= 100_000; nowMs += 1_000) {
      expect(membership.heartbeat(heartbeat('a'), nowMs)).toEqual({ outcome: 'accepted', transition: null });
      expect(membership.tick(nowMs)).toEqual([]);
    }
  });

  it('counts pieces of live, suspect and resting keepers, not of dead or unknown ones', () => {
    const membership = membershipOf(['a', 'b']);
    membership.stopping('b', 0);
    run(membership, 0, 6_000);
    expect([membership.isCounted('a'), membership.isCounted('b')]).toEqual([true, true]);
    run(membership, 6_000, 30_000);
    expect([membership.isCounted('a'), membership.isCounted('b')]).toEqual([false, true]);
    expect(membership.isCounted('nobody')).toBe(false);
  });

  it('comes back with a heartbeat, from suspect and from dead, and says so', () => {
    const membership = membershipOf(['a']);
    run(membership, 0, 6_000);
    const back = membership.heartbeat(heartbeat('a'), 6_500);
    expect(back).toEqual({ outcome: 'accepted', transition: { keeperId: 'a', from: 'suspect', to: 'live' } });
    run(membership, 6_500, 40_500);
    expect(membership.get('a')?.state).toBe('dead');
    const again = membership.heartbeat(heartbeat('a'), 41_000);
    expect(again).toMatchObject({ transition: { from: 'dead', to: 'live' } });
    expect(membership.get('a')).toMatchObject({ state: 'live', deadSinceMs: null });
  });
});

describe('maintenance', () => {
  it('begins with a heartbeat that says stopping and lasts 30 minutes', () => {
    const membership = membershipOf(['a']);
    const stop = membership.heartbeat(heartbeat('a', { stopping: true }), 1_000);
    expect(stop).toMatchObject({ transition: { from: 'live', to: 'maintenance' } });
    expect(membership.placementCandidates()).toEqual([]);
    expect(run(membership, 1_000, 60 * MINUTE_MS)).toEqual([
      `a: maintenance > dead at ${30 * MINUTE_MS + 1_000}`,
    ]);
  });

  it('is not ended by a heartbeat that was overtaken', () => {
    const membership = membershipOf(['a']);
    membership.heartbeat(heartbeat('a', { stopping: true }), 1_000);
    membership.heartbeat(heartbeat('a'), 1_001);
    expect(membership.get('a')?.state).toBe('maintenance');
  });

  it('ends with the next registration', () => {
    const membership = membershipOf(['a']);
    membership.heartbeat(heartbeat('a', { stopping: true }), 1_000);
    const result = membership.register(registration('a', { incarnation: 2 }), 20_000);
    expect(result).toMatchObject({ transition: { from: 'maintenance', to: 'live' } });
    expect(run(membership, 20_000, 24_000)).toEqual([]);
  });

  it('cannot be begun for a keeper that is dead or unknown', () => {
    const membership = membershipOf(['a']);
    run(membership, 0, 30_000);
    expect(membership.stopping('a', 30_000)).toBeNull();
    expect(membership.stopping('nobody', 30_000)).toBeNull();
  });
});

describe('after a start of the tracker', () => {
  const restarted = (stopping = false): Membership =>
    new Membership({ nowMs: 1_000_000, expected: [{ ...registration('a', { incarnation: 7 }), stopping }] });

  it('a keeper of the metadata is suspect for a full lease, then dead', () => {
    const membership = restarted();
    expect(membership.get('a')).toMatchObject({ state: 'suspect', lastHeardMs: null, reported: false });
    expect(membership.placementCandidates()).toEqual([]);
    expect(run(membership, 1_000_000, 1_060_000)).toEqual(['a: suspect > dead at 1030000']);
  });

  it('a keeper that had announced to stop has a full maintenance before it', () => {
    const membership = restarted(true);
    expect(membership.get('a')?.state).toBe('maintenance');
    expect(run(membership, 1_000_000, 1_060_000)).toEqual([]);
  });

  it('it must register before its heartbeats count, with the same start or a later one', () => {
    const membership = restarted();
    const beat = heartbeat('a', { incarnation: 7 });
    expect(membership.heartbeat(beat, 1_000_100)).toEqual({ outcome: 'not-registered' });
    expect(membership.markReported(beat)).toBe(false);
    const result = membership.register(registration('a', { incarnation: 7 }), 1_000_200);
    expect(result).toMatchObject({
      outcome: 'registered',
      isNewKeeper: false,
      storageReplaced: false,
      transition: { from: 'suspect', to: 'live' },
    });
    expect(membership.heartbeat(beat, 1_000_300).outcome).toBe('accepted');
  });
});

describe('a pause of the tracker', () => {
  it('extends every lease by the gap before anyone is judged', () => {
    const membership = membershipOf(['a', 'b']);
    membership.stopping('b', 0);
    run(membership, 0, 4_000);
    expect(membership.tick(3 * 3_600_000)).toEqual([]);
    expect(run(membership, 3 * 3_600_000, 3 * 3_600_000 + 30_000)).toEqual([
      `a: live > suspect at ${3 * 3_600_000 + 1_000}`,
      `a: suspect > dead at ${3 * 3_600_000 + 26_000}`,
    ]);
    expect(membership.isCounted('b')).toBe(true);
  });

  it('counts only beyond two seconds more than a tick', () => {
    const membership = membershipOf(['a']);
    expect(membership.observeTick(3_000)).toBe(0);
    expect(membership.observeTick(6_001)).toBe(3_001);
    expect(membership.observeTick(6_001)).toBe(0);
  });

  it('never gives more than a full lease', () => {
    const membership = membershipOf(['a']);
    membership.heartbeat(heartbeat('a'), 59_999);
    membership.tick(60_000);
    expect(run(membership, 60_000, 66_000)).toEqual(['a: live > suspect at 65000']);
  });

  it('does not bring back the dead', () => {
    const membership = membershipOf(['a']);
    run(membership, 0, 30_000);
    expect(membership.tick(600_000)).toEqual([]);
    expect(membership.get('a')?.state).toBe('dead');
  });
});

describe('registration', () => {
  it('makes a new keeper live at once', () => {
    const membership = membershipOf([]);
    expect(membership.register(registration('a'), 5)).toEqual({
      outcome: 'registered',
      isNewKeeper: true,
      storageReplaced: false,
      transition: { keeperId: 'a', from: null, to: 'live' },
    });
    expect(membership.size).toBe(1);
  });

  it('that is repeated before the report is in does not stand in for it', () => {
    const membership = membershipOf(['a']);
    membership.register(registration('a'), 10);
    expect(membership.get('a')?.reported).toBe(false);
  });

  it('is idempotent and keeps what this start has reported', () => {
    const membership = membershipOf(['a']);
    expect(membership.markReported(registration('a'))).toBe(true);
    const again = membership.register(registration('a'), 10);
    expect(again).toMatchObject({ outcome: 'registered', isNewKeeper: false, transition: null });
    expect(membership.get('a')?.reported).toBe(true);
  });

  it('of a later start asks for a new report and for the new address', () => {
    const membership = membershipOf(['a']);
    membership.markReported(registration('a'));
    membership.register(registration('a', { incarnation: 2, address: 'elsewhere:1' }), 10);
    expect(membership.get('a')).toMatchObject({ reported: false, incarnation: 2, address: 'elsewhere:1' });
    expect(membership.heartbeat(heartbeat('a'), 11)).toEqual({ outcome: 'not-registered' });
    expect(membership.markReported(registration('a'))).toBe(false);
  });

  it('refuses an earlier start', () => {
    const membership = membershipOf([]);
    membership.register(registration('a', { incarnation: 5 }), 0);
    const late = membership.register(registration('a', { incarnation: 4 }), 1);
    expect(late).toEqual({ outcome: 'stale-incarnation', knownIncarnation: 5 });
    expect(membership.get('a')?.incarnation).toBe(5);
  });

  it('says when the storage was replaced, whatever its incarnation', () => {
    const membership = membershipOf([]);
    membership.register(registration('a', { incarnation: 5 }), 0);
    membership.markReported(registration('a', { incarnation: 5 }));
    const wiped = registration('a', { incarnation: 1, storageId: 'another' });
    expect(membership.register(wiped, 1)).toMatchObject({ outcome: 'registered', storageReplaced: true });
    expect(membership.get('a')).toMatchObject({ storageId: 'another', reported: false });
  });

  it('can be judged without being carried out', () => {
    const membership = membershipOf(['a']);
    const wiped = registration('a', { storageId: 'another' });
    expect(membership.judgeRegistration(wiped)).toMatchObject({ storageReplaced: true });
    expect(membership.get('a')?.storageId).toBe('storage of a');
    expect(membership.judgeRegistration(registration('b'))).toMatchObject({ isNewKeeper: true });
    expect(membership.size).toBe(1);
  });

  it('is refused to a new keeper past the limit, not to a known one', () => {
    const membership = membershipOf(['a', 'b'], { limits: { maxKeepers: 2 } });
    expect(membership.register(registration('c'), 1)).toEqual({ outcome: 'too-many-keepers', limit: 2 });
    expect(membership.register(registration('b', { incarnation: 2 }), 1).outcome).toBe('registered');
  });
});

describe('a heartbeat', () => {
  it('is refused to a keeper, a storage or a start that is not known', () => {
    const membership = membershipOf(['a']);
    const refused = { outcome: 'not-registered' };
    expect(membership.heartbeat(heartbeat('b'), 1)).toEqual(refused);
    expect(membership.heartbeat(heartbeat('a', { storageId: 'another' }), 1)).toEqual(refused);
    expect(membership.heartbeat(heartbeat('a', { incarnation: 2 }), 1)).toEqual(refused);
  });

  it('brings the news of the keeper', () => {
    const membership = membershipOf(['a']);
    const news = { activeStreams: 3, freeTaskSlots: 1, capacity: { ...capacity, freeBytes: 1 } };
    membership.heartbeat(heartbeat('a', news), 900);
    expect(membership.get('a')).toMatchObject({ ...news, lastHeardMs: 900 });
  });

  it('forgets what was reserved before it', () => {
    const membership = membershipOf(['a']);
    membership.reserve('a', 100);
    membership.reserve('a', 50);
    membership.reserve('nobody', 50);
    expect(membership.get('a')).toMatchObject({ reservedBytes: 150, reservedPieces: 2 });
    membership.heartbeat(heartbeat('a'), 1_000);
    expect(membership.get('a')).toMatchObject({ reservedBytes: 0, reservedPieces: 0 });
  });
});

describe('the candidates for placement', () => {
  it('are the live keepers whose storage can be written', () => {
    const membership = membershipOf(['silent', 'broken', 'stopping', 'fine']);
    run(membership, 0, 4_000);
    for (const keeperId of ['broken', 'stopping', 'fine']) {
      const storageError = keeperId === 'broken' ? 'EROFS' : null;
      membership.heartbeat(heartbeat(keeperId, { storageError, stopping: keeperId === 'stopping' }), 4_000);
    }
    run(membership, 4_000, 6_000);
    expect(membership.placementCandidates().map((keeper) => keeper.keeperId)).toEqual(['fine']);
    membership.heartbeat(heartbeat('broken'), 6_500);
    expect(membership.placementCandidates().map((keeper) => keeper.keeperId)).toEqual(['broken', 'fine']);
  });

  it('count what was just allocated, in bytes and as streams', () => {
    const membership = membershipOf(['a']);
    membership.heartbeat(heartbeat('a', { activeStreams: 2 }), 1_000);
    membership.reserve('a', 64);
    expect(membership.placementCandidates()).toEqual([
      { keeperId: 'a', zone: '', totalBytes: 1_000, freeBytes: 600, reservedBytes: 64, activeStreams: 3 },
    ]);
  });
});

describe('a snapshot', () => {
  it('does not change when the registry does', () => {
    const membership = membershipOf(['a']);
    const [listed] = membership.list();
    run(membership, 0, 30_000);
    expect(listed?.state).toBe('live');
    expect(membership.list()[0]?.state).toBe('dead');
  });
});
