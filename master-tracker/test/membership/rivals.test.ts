/** Two live keepers with one identity, and what only looks like that. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Membership } from '../../src/membership/membership.js';
import { seed } from '../placement/seeded.js';
import { heartbeat, registration } from './fixtures.js';

const leaseMs = 30_000;

/** A process that runs a copy of one storage: as a keeper does, it registers whenever it is not registered. */
class Start {
  registered = false;
  alive = true;
  readonly membership: Membership;
  readonly incarnation: number;
  readonly events: string[];

  constructor(membership: Membership, incarnation: number, events: string[]) {
    this.membership = membership;
    this.incarnation = incarnation;
    this.events = events;
  }

  #hear(nowMs: number, address?: string): void {
    const sign = { ...registration('a'), incarnation: this.incarnation, address: address ?? '' };
    if (this.membership.hearRival(sign, nowMs)) this.events.push(`conflict at ${nowMs}`);
  }

  /** One heartbeat, with all that follows from its answer. */
  beat(nowMs: number): void {
    if (!this.alive) return;
    const { incarnation, membership } = this;
    if (!this.registered) {
      const address = `host-${incarnation}:7501`;
      const start = registration('a', { incarnation, address });
      if (membership.judgeRegistration(start).outcome !== 'registered') {
        this.#hear(nowMs, address);
        return;
      }
      membership.register(start, nowMs);
      this.registered = true;
      if (membership.get('a')?.reported === false && membership.markReported(start)) {
        if (membership.settleIdentity('a')) this.events.push(`over at ${nowMs}`);
      }
    }
    if (membership.heartbeat(heartbeat('a', { incarnation }), nowMs).outcome === 'accepted') return;
    this.registered = false;
    this.#hear(nowMs);
  }

  /** A heartbeat that was under way when the process was killed. */
  straggle(nowMs: number): void {
    const { incarnation } = this;
    if (this.membership.heartbeat(heartbeat('a', { incarnation }), nowMs).outcome === 'accepted') return;
    this.#hear(nowMs);
  }
}

function world() {
  const membership = new Membership({ nowMs: 0 });
  const events: string[] = [];
  const starts: Start[] = [];
  let nowMs = 0;
  return {
    membership,
    events,
    start: (incarnation: number): Start => {
      const start = new Start(membership, incarnation, events);
      starts.push(start);
      return start;
    },
    /** Lets time pass in seconds, with a heartbeat of everyone alive in each. */
    pass: (durationMs: number): void => {
      for (const untilMs = nowMs + durationMs; nowMs < untilMs;) {
        nowMs += 1_000;
        membership.tick(nowMs);
        for (const start of starts) start.beat(nowMs);
      }
    },
    isPlaced: () => membership.placementCandidates().length === 1,
    now: () => nowMs,
  };
}

describe('two live keepers with one identity', () => {
  it.each([
    [5, 9],
    [9, 5],
  ])('take no new pieces, whichever came first (%i, %i)', (first, second) => {
    const { membership, events, start, pass, isPlaced } = world();
    start(first);
    pass(10_000);
    expect(isPlaced()).toBe(true);
    start(second);
    pass(8_000);
    expect(events).toHaveLength(1);
    expect(isPlaced()).toBe(false);
    expect(membership.isCounted('a')).toBe(true);
    const { identityConflict } = membership.get('a')!;
    expect(identityConflict).toContain('host-5:7501');
    expect(identityConflict).toContain('host-9:7501');
    pass(600_000);
    expect(events).toHaveLength(1);
    expect(isPlaced()).toBe(false);
  });

  it.each([
    ['the earlier', 5],
    ['the later', 9],
  ])('are one again when only %s is left, has registered and reported', (_which, left) => {
    const { membership, events, start, pass, isPlaced, now } = world();
    const starts = [start(5), start(9)];
    pass(10_000);
    expect(events).toHaveLength(1);
    for (const each of starts) each.alive = each.incarnation === left;
    const silentMs = now();
    pass(leaseMs - 2_000);
    expect(events).toHaveLength(1);
    expect(isPlaced()).toBe(false);
    pass(5_000);
    expect(events[1]).toMatch(/^over at/);
    expect(Number(events[1]!.split(' ').at(-1))).toBeGreaterThanOrEqual(silentMs + leaseMs - 1_000);
    expect(membership.get('a')).toMatchObject({ incarnation: left, state: 'live', identityConflict: null });
    expect(isPlaced()).toBe(true);
  });

  it('are found out anew after that', () => {
    const { events, start, pass, isPlaced } = world();
    const [first] = [start(5), start(9)];
    pass(10_000);
    first.alive = false;
    pass(40_000);
    first.alive = true;
    pass(10_000);
    expect(events.map((event) => event.split(' ')[0])).toEqual(['conflict', 'over', 'conflict']);
    expect(isPlaced()).toBe(false);
  });

  it('stay so while the one that is left has not reported', () => {
    const membership = new Membership({ nowMs: 0 });
    const of = (incarnation: number) => registration('a', { incarnation });
    membership.register(of(5), 0);
    membership.register(of(9), 0);
    membership.markReported(of(9));
    membership.hearRival(of(5), 1_000);
    membership.heartbeat(heartbeat('a', { incarnation: 9 }), 5_000);
    membership.hearRival(of(5), 6_000);
    expect(membership.settleIdentity('a')).toBe(false);
    membership.heartbeat(heartbeat('a', { incarnation: 9 }), 40_000);
    expect(membership.register(of(9), 40_000).outcome).toBe('registered');
    expect(membership.get('a')?.reported).toBe(false);
    expect(membership.settleIdentity('a')).toBe(false);
    expect(membership.placementCandidates()).toEqual([]);
    membership.markReported(of(9));
    expect(membership.settleIdentity('a')).toBe(true);
    expect(membership.placementCandidates()).toHaveLength(1);
  });

  it('says whether the other one could have taken pieces in the meantime', () => {
    const membership = new Membership({ nowMs: 0 });
    const of = (incarnation: number) => registration('a', { incarnation });
    membership.register(of(5), 0);
    membership.register(of(9), 1_000);
    membership.hearRival(of(5), 2_000);
    membership.heartbeat(heartbeat('a', { incarnation: 9 }), 7_000);
    expect(membership.hearRival(of(5), 8_000)).toMatchObject({ hadLease: true });
    const never = new Membership({ nowMs: 0 });
    never.register(of(9), 1_000);
    never.hearRival(of(5), 2_000);
    never.heartbeat(heartbeat('a', { incarnation: 9 }), 7_000);
    expect(never.hearRival(of(5), 8_000)).toMatchObject({ hadLease: false });
  });
});

describe(`what is no conflict (seed ${seed})`, () => {
  it('a keeper that is killed and started again, whatever it had sent arrives when', () => {
    const restart = fc.record({
      livesMs: fc.integer({ min: 1, max: 60_000 }),
      // Of the heartbeats and registrations that were under way: none waits longer than its deadline.
      stragglersMs: fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 5 }),
      pauseMs: fc.constantFrom(0, 0, 100_000),
    });
    fc.assert(
      fc.property(fc.array(restart, { minLength: 1, maxLength: 6 }), (restarts) => {
        const membership = new Membership({ nowMs: 0 });
        const events: string[] = [];
        let nowMs = 0;
        let before: Start | undefined;
        restarts.forEach(({ livesMs, stragglersMs, pauseMs }, index) => {
          const start = new Start(membership, index + 1, events);
          start.beat(nowMs);
          for (const afterMs of [...stragglersMs].sort((a, b) => a - b)) before?.straggle(nowMs + afterMs);
          nowMs += 3_000 + pauseMs;
          membership.tick(nowMs);
          for (const untilMs = nowMs + livesMs; nowMs < untilMs;) {
            nowMs += 1_000;
            membership.tick(nowMs);
            start.beat(nowMs);
          }
          expect(membership.placementCandidates()).toHaveLength(1);
          before = start;
        });
        expect(events).toEqual([]);
      }),
      { seed, numRuns: 300 },
    );
  });

  it('but any two that both live for a while are one, and it ends with either', () => {
    const plan = fc.record({
      incarnations: fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 2 }),
      aloneMs: fc.integer({ min: 0, max: 20 }),
      togetherMs: fc.integer({ min: 8, max: 90 }),
      leaves: fc.integer({ min: 0, max: 1 }),
    });
    fc.assert(
      fc.property(plan, ({ incarnations: [one = 1, two = 2], aloneMs, togetherMs, leaves }) => {
        const { events, start, pass, isPlaced } = world();
        const first = start(one);
        pass(aloneMs * 1_000);
        const second = start(two);
        pass(togetherMs * 1_000);
        expect(events).toHaveLength(1);
        expect(isPlaced()).toBe(false);
        [first, second][leaves]!.alive = false;
        pass(leaseMs + 5_000);
        expect(events).toHaveLength(2);
        expect(isPlaced()).toBe(true);
      }),
      { seed, numRuns: 200 },
    );
  });

  it('another storage of the same keeper', () => {
    const membership = new Membership({ nowMs: 0 });
    membership.register(registration('a'), 0);
    const wiped = registration('a', { storageId: 'another', incarnation: 3 });
    expect(membership.hearRival(wiped, 0)).toBeNull();
    expect(membership.hearRival(wiped, 9_000)).toBeNull();
  });
});
