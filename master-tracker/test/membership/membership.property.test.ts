/** The registry under any history of calls, compared with what a keeper's silence means. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Membership } from '../../src/membership/membership.js';
import type { KeeperState } from '../../src/membership/lease.js';
import { seed } from '../placement/seeded.js';
import { heartbeat, registration } from './fixtures.js';

const keeperIds = ['a', 'b', 'c'];
const step = fc.record({
  keeperId: fc.constantFrom(...keeperIds),
  kind: fc.constantFrom('register', 'heartbeat', 'heartbeat', 'stopping', 'tick', 'tick', 'tick'),
  afterMs: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 40_000 })),
});

/** Carries a history out, ticking every second or less unless the step itself is a pause. */
function replay(steps: { keeperId: string; kind: string; afterMs: number }[], paused: boolean) {
  const membership = new Membership({ nowMs: 0 });
  const states = new Map<string, KeeperState>();
  const silentSince = new Map<string, number>();
  const note = (transition: { keeperId: string; from: KeeperState | null; to: KeeperState } | null): void => {
    if (!transition) return;
    expect(transition.from).toBe(states.get(transition.keeperId) ?? null);
    expect(transition.to).not.toBe(transition.from);
    states.set(transition.keeperId, transition.to);
  };
  const died: { keeperId: string; silentMs: number; stopped: boolean }[] = [];
  const tick = (nowMs: number): void => {
    for (const transition of membership.tick(nowMs)) {
      const silentMs = nowMs - silentSince.get(transition.keeperId)!;
      const stopped = transition.from === 'maintenance';
      if (transition.to === 'dead') died.push({ keeperId: transition.keeperId, silentMs, stopped });
      note(transition);
    }
  };
  let nowMs = 0;
  for (const { keeperId, kind, afterMs } of steps) {
    const untilMs = nowMs + afterMs;
    if (!paused) while (nowMs + 1_000 < untilMs) tick((nowMs += 1_000));
    nowMs = untilMs;
    if (kind === 'tick') {
      tick(nowMs);
      continue;
    }
    if (kind === 'register') {
      const result = membership.register(registration(keeperId), nowMs);
      if (result.outcome === 'registered') note(result.transition);
    } else {
      const result = membership.heartbeat(heartbeat(keeperId, { stopping: kind === 'stopping' }), nowMs);
      if (result.outcome === 'not-registered') continue;
      note(result.transition);
    }
    silentSince.set(keeperId, nowMs);
  }
  for (const keeper of membership.list()) expect(keeper.state).toBe(states.get(keeper.keeperId));
  return died;
}

describe(`Membership, for any history (seed ${seed})`, () => {
  it('reports every change of state once, and no keeper dies before its lease is over', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        for (const { silentMs, stopped } of replay(steps, false)) {
          expect(silentMs).toBeGreaterThanOrEqual(stopped ? 1_800_000 : 30_000);
        }
      }),
      { seed, numRuns: 300 },
    );
  });

  it('lets nobody die the sooner for pauses of the tracker', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        for (const { silentMs } of replay(steps, true)) expect(silentMs).toBeGreaterThanOrEqual(30_000);
      }),
      { seed, numRuns: 300 },
    );
  });
});
