/** Which piece goes; and that no history of the cluster makes the tracker order away what it needs (S5). */
import { defaultPolicy } from '@holdfast/shared';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { markDraining } from '../../src/registry/keeper-changes.js';
import { queueAll, queueForRepair, recordDurable, recordLost } from '../../src/registry/pieces.js';
import type { MetadataTransaction } from '../../src/store/metadata-store.js';
import { chooseVictim } from '../../src/repair/surplus.js';
import { seed, seededRandom } from '../placement/seeded.js';
import { type FakeKeeper, TestTracker, id, pieceOf } from '../support/fixture.js';
import { keeper, MIB, replicated } from './fixtures.js';

const victimOf = (chunk: Parameters<typeof chooseVictim>[0], keepers: ReturnType<typeof keeper>[]) =>
  chooseVictim(chunk, new Map(keepers.map((each) => [each.keeperId, each])));

describe('the piece that goes', () => {
  const four = replicated('c', ['a', 'b', 'c', 'd']);
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((id) => keeper(id)) as [never, never, never, never];

  it('is none while there are not more confirmed pieces than the policy asks for', () => {
    expect(victimOf(replicated('c', ['a', 'b', 'c']), [a, b, c])).toBeUndefined();
    for (const doubt of [
      { state: 'suspect' },
      { state: 'maintenance' },
      { state: 'dead', deadSinceMs: 0 },
      { reported: false },
      { storageWritable: false },
    ] as const) {
      expect(victimOf(four, [a, b, c, keeper('d', doubt)])).toBeUndefined();
    }
    expect(victimOf(four, [a, b, c])).toBeUndefined();
  });

  it('is none while one of them is in doubt', () => {
    const pieces = four.pieces.map((piece) => ({
      ...piece,
      state: piece.keeperId === 'd' ? ('suspect' as const) : piece.state,
    }));
    expect(victimOf({ ...four, pieces }, [a, b, c, d])).toBeUndefined();
  });

  it('is first one on a keeper that is being emptied, if the others are enough', () => {
    const draining = keeper('d', { draining: true, freeBytes: 900 * MIB });
    expect(victimOf(four, [a, b, c, draining])).toBe('d');
    expect(victimOf(four, [a, b, keeper('c', { draining: true }), draining])).toBeUndefined();
    expect(victimOf(four, [a, b, keeper('c', { reported: false }), draining])).toBeUndefined();
  });

  it('is then one of two in a zone, and else that of the fullest keeper', () => {
    const zoned = [
      keeper('a', { zone: 'x', freeBytes: 1 }),
      keeper('b', { zone: 'y', freeBytes: 300 * MIB }),
      keeper('c', { zone: 'y', freeBytes: 200 * MIB }),
      keeper('d', { zone: 'z' }),
    ];
    expect(victimOf(four, zoned)).toBe('c');
    expect(victimOf(four, [a, b, keeper('c', { freeBytes: 1 }), d])).toBe('c');
  });

  it('is that of the keeper that the chunk is being moved from, if that may go', () => {
    const all = new Map(
      [a, b, c, keeper('d', { freeBytes: 1 })].map((each: ReturnType<typeof keeper>) => [
        each.keeperId,
        each,
      ]),
    );
    expect(chooseVictim(four, all)).toBe('d');
    expect(chooseVictim(four, all, 'b')).toBe('b');
    expect(chooseVictim(four, all, 'elsewhere')).toBe('d');
    expect(chooseVictim(replicated('c', ['a', 'b', 'c']), all, 'b')).toBeUndefined();
  });

  it('is none of different pieces', () => {
    const coded = { ...four, policy: { pieces: 3, needed: 2, minWrite: 2 } };
    expect(victimOf(coded, [a, b, c, d])).toBeUndefined();
  });
});

async function allChunks({ db }: MetadataTransaction): Promise<string[]> {
  const rows = await db.selectFrom('chunks').select('chunk_id').execute();
  return rows.map((row) => row.chunk_id);
}

describe('surplus', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 4 });
  });
  afterEach(() => tracker.end());

  const work = async (alive: readonly FakeKeeper[] = tracker.keepers, rounds = 10): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      await tracker.pass(1_000, alive);
      await tracker.core.repair.step();
      for (const each of alive) for (const task of await each.heartbeat()) await each.complete(task);
    }
  };
  const durable = async (chunkId: string): Promise<string[]> =>
    Object.entries(await tracker.pieces(chunkId))
      .filter(([, state]) => state === 'durable')
      .map(([keeperId]) => keeperId);

  it('of a keeper that came back is trimmed, and only once it has reported', async () => {
    const [first, ...others] = tracker.keepers;
    const { chunkIds } = await tracker.put('/file', { count: 3, on: tracker.keepers.slice(0, 3) });
    await tracker.pass(31_000, others);
    await work(others);
    expect(await tracker.queued()).toEqual([]);
    first!.incarnation += 1;
    await first!.register();
    expect(await tracker.queued()).toHaveLength(3);
    await work();
    for (const chunkId of chunkIds) expect(await durable(chunkId)).toHaveLength(4);
    await first!.report(chunkIds);
    await work();
    for (const chunkId of chunkIds) expect(await durable(chunkId)).toHaveLength(3);
    expect(await tracker.queued()).toEqual([]);
  });

  it('of a keeper that came back by a heartbeat, of a late copy and of a report is found', async () => {
    const [first, ...others] = tracker.keepers;
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers.slice(0, 3) });
    await tracker.pass(31_000, others);
    await work(others);
    await first!.heartbeat();
    expect(await tracker.queued()).toEqual(chunkIds);
    await work();
    expect(await durable(chunkIds[0]!)).toHaveLength(3);

    const late = await tracker.put('/late', { on: others });
    await first!.heartbeat({ stored: late.chunkIds.map((chunkId) => ({ ...pieceOf(chunkId) })) });
    expect(await tracker.queued()).toEqual(late.chunkIds);
  });

  it('is not touched while one of the pieces is in doubt', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers });
    const [chunkId] = chunkIds as [string];
    await tracker.store.mutate((tx) => queueForRepair(tx, [chunkId]));
    const token = tracker.core.tokens.read(chunkId);
    await tracker.core.locations.reportBadPiece(chunkId, tracker.keepers[0]!.keeperId, token);
    await tracker.core.repair.step();
    expect(await durable(chunkId)).toHaveLength(4);
  });

  it('that must wait for its keepers keeps no other waiting', async () => {
    const [silent, ...others] = tracker.keepers as [FakeKeeper, ...FakeKeeper[]];
    const policy = { ...defaultPolicy, pieces: 2 };
    const stuck = await tracker.put('/stuck', { count: 150, policy, on: [silent, ...others.slice(0, 1)] });
    await tracker.put('/free', { count: 5, policy, on: others });
    await tracker.store.mutate(async (tx) => {
      await recordDurable(
        tx,
        stuck.chunkIds.map((chunkId) => ({ chunkId, keeperId: others[1]!.keeperId })),
      );
      await queueAll(tx, await allChunks(tx));
    });
    await tracker.pass(6_000, others);
    await tracker.core.repair.step();
    const given = await tracker.store.read(({ db }) =>
      db.selectFrom('pieces').select('chunk_id').where('state', '=', 'garbage').execute(),
    );
    expect(given).toHaveLength(5);
  });

  it('is given up slowly', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 250, on: tracker.keepers });
    await tracker.store.mutate((tx) => queueForRepair(tx, chunkIds));
    const given = async (): Promise<number> => {
      const rows = await tracker.store.read(({ db }) =>
        db.selectFrom('pieces').select('chunk_id').where('state', '=', 'garbage').execute(),
      );
      return rows.length;
    };
    for (let step = 0; step < 5; step += 1) await tracker.core.repair.step();
    expect(await given()).toBe(100);
    tracker.clock.advance(1_000);
    for (let step = 0; step < 5; step += 1) await tracker.core.repair.step();
    expect(await given()).toBe(200);
  });

  it('once given up is never counted again, whatever its keeper said before', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers });
    const [chunkId] = chunkIds as [string];
    await tracker.store.mutate((tx) => queueForRepair(tx, [chunkId]));
    await tracker.core.repair.step();
    const [victim] = Object.entries(await tracker.pieces(chunkId)).find(([, state]) => state === 'garbage')!;
    const loser = tracker.keepers.find((each) => each.keeperId === victim)!;
    const says = async (): Promise<string | undefined> => {
      await loser.heartbeat({ stored: [pieceOf(chunkId)], slots: 0 });
      return (await tracker.pieces(chunkId))[victim];
    };
    expect(await says()).toBe('garbage');
    await tracker.core.reclaim.step();
    const [task] = await loser.heartbeat();
    expect(task?.action.kind).toBe('trash');
    await loser.complete(task!);
    expect(await says()).toBe('trashed');
    await loser.report([chunkId]);
    expect((await tracker.pieces(chunkId))[victim]).toBe('trashed');
    // No copy goes there while an order to trash it may be under way.
    await tracker.pass(29_000);
    expect((await tracker.pieces(chunkId))[victim]).toBe('trashed');
    await tracker.pass(3_000);
    expect((await tracker.pieces(chunkId))[victim]).toBeUndefined();
  });

  it('is not thrown away once its chunk has lost others: it counts again when its keeper says that it is there', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers });
    await tracker.store.mutate((tx) => queueForRepair(tx, chunkIds));
    await tracker.core.repair.step();
    const [victim] = Object.entries(await tracker.pieces(chunkIds[0]!)).find(
      ([, state]) => state === 'garbage',
    )!;
    const loser = tracker.keepers.find((each) => each.keeperId === victim)!;
    const [lost] = tracker.keepers.filter((each) => each !== loser) as [FakeKeeper];
    await tracker.store.mutate((tx) => recordLost(tx, lost.keeperId, chunkIds));
    await tracker.core.reclaim.step();
    expect(await loser.heartbeat()).toEqual([]);
    await loser.report(chunkIds);
    expect((await tracker.pieces(chunkIds[0]!))[loser.keeperId]).toBe('durable');
  });

  it('is not ordered away from a keeper whose report is being taken', async () => {
    const { chunkIds } = await tracker.put('/file', { on: tracker.keepers });
    await tracker.store.mutate((tx) => queueForRepair(tx, chunkIds));
    await tracker.core.repair.step();
    const [victim] = Object.entries(await tracker.pieces(chunkIds[0]!)).find(
      ([, state]) => state === 'garbage',
    )!;
    const loser = tracker.keepers.find((each) => each.keeperId === victim)!;
    loser.incarnation += 1;
    await loser.register();
    await tracker.core.reclaim.step();
    expect(await loser.heartbeat()).toEqual([]);
    await loser.report(chunkIds);
    // The same start reports once more, in two pages.
    await loser.register();
    const pages = { ...loser.identity, reportId: id(), wantedReport: '', pieces: [] };
    await tracker.core.registry.report(loser.identity, { ...pages, page: 0, last: false });
    await tracker.core.reclaim.step();
    expect(await loser.heartbeat()).toEqual([]);
    await tracker.core.registry.report(loser.identity, { ...pages, page: 1, last: true });
    await tracker.core.reclaim.step();
    expect(await loser.heartbeat()).toHaveLength(1);
  });
});

describe(`any history (seed ${seed})`, () => {
  it('of deaths, returns, drains, reports and restarts leaves every chunk with what its policy asks for', async () => {
    const random = seededRandom(seed);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    const tracker = await TestTracker.start({ keepers: 6 });
    try {
      /** What is really on the keepers, by keeper. */
      const disks = new Map(tracker.keepers.map((each) => [each, new Set<string>()]));
      const alive = new Set(tracker.keepers);
      const chunkIds: string[] = [];
      for (let file = 0; file < 12; file += 1) {
        const on = [...tracker.keepers].sort(() => random() - 0.5).slice(0, pick([2, 3, 3]));
        const policy = { ...defaultPolicy, pieces: pick([2, 3]) };
        const put = await tracker.put(`/file${file}`, { on, policy });
        chunkIds.push(...put.chunkIds);
        for (const each of on) for (const chunkId of put.chunkIds) disks.get(each)!.add(chunkId);
      }
      const policies = new Map(
        (
          await tracker.store.read(({ db }) =>
            db.selectFrom('chunks').select(['chunk_id', 'pieces']).execute(),
          )
        ).map((row) => [row.chunk_id, row.pieces]),
      );
      let trimmed = 0;
      const copiesOn = (chunkId: string): number =>
        tracker.keepers.filter((each) => disks.get(each)!.has(chunkId)).length;
      const obey = async (each: FakeKeeper): Promise<void> => {
        for (const task of await each.heartbeat()) {
          // Some orders are lost, and given again.
          if (random() < 0.2) continue;
          const { action } = task;
          if (action.kind === 'fetch') {
            const sources = tracker.keepers.filter((other) =>
              action.sourceKeeperIds.includes(other.keeperId),
            );
            if (!sources.some((source) => alive.has(source) && disks.get(source)!.has(action.chunkId)))
              continue;
            disks.get(each)!.add(action.chunkId);
          }
          if (action.kind === 'trash') {
            for (const chunkId of action.chunkIds) {
              disks.get(each)!.delete(chunkId);
              // Every order that takes one away leaves as many as the policy asks for (S5).
              expect(copiesOn(chunkId)).toBeGreaterThanOrEqual(policies.get(chunkId)!);
            }
          }
          await each.complete(task);
        }
      };
      const drain = async (each: FakeKeeper, draining: boolean): Promise<void> => {
        await tracker.store.mutate((tx) => markDraining(tx, tracker.core.events, each.keeperId, draining));
        tracker.core.membership.setDraining(each.keeperId, draining);
      };
      /** A step of repair; what it gives up leaves enough with keepers that are there, and really have it (S5). */
      const trim = async (): Promise<void> => {
        const given = async () =>
          new Set(
            (
              await tracker.store.read(({ db }) =>
                db
                  .selectFrom('pieces')
                  .select(['chunk_id', 'keeper_id'])
                  .where('state', '=', 'garbage')
                  .execute(),
              )
            ).map((row) => `${row.chunk_id} ${row.keeper_id}`),
          );
        const before = await given();
        await tracker.core.repair.step();
        for (const piece of await given()) {
          if (before.has(piece)) continue;
          const [chunkId, keeperId] = piece.split(' ') as [string, string];
          const left = tracker.keepers.filter((each) => {
            const view = tracker.core.membership.get(each.keeperId);
            const isThere = view?.state === 'live' && view.reported && !view.draining;
            return isThere && each.keeperId !== keeperId && disks.get(each)!.has(chunkId);
          });
          expect(left.length).toBeGreaterThanOrEqual(policies.get(chunkId)!);
          trimmed += 1;
        }
      };
      /** Whatever counts is there. */
      const expectTruth = async (): Promise<void> => {
        const rows = await tracker.store.read(({ db }) =>
          db.selectFrom('pieces').select(['chunk_id', 'keeper_id']).where('state', '=', 'durable').execute(),
        );
        const holders = new Map(tracker.keepers.map((each) => [each.keeperId, each]));
        const missing = rows.filter((row) => !disks.get(holders.get(row.keeper_id)!)!.has(row.chunk_id));
        expect(missing).toEqual([]);
      };
      const back = async (each: FakeKeeper): Promise<void> => {
        each.incarnation += 1;
        await each.register();
        if (random() < 0.8) await each.report([...disks.get(each)!]);
        alive.add(each);
      };
      for (let step = 0; step < 400; step += 1) {
        const one = pick(tracker.keepers);
        const event = random();
        if (event < 0.04 && alive.size > 4) alive.delete(one);
        else if (event < 0.1 && !alive.has(one)) await back(one);
        else if (event < 0.14) await drain(one, random() < 0.5);
        else if (event < 0.17 && alive.has(one)) await one.report([...disks.get(one)!]);
        else if (event < 0.18) {
          await tracker.restart();
          for (const each of alive) await back(each);
        }
        // What a keeper says may be older than what it did since: a heartbeat that was slow.
        const word = [...disks.get(one)!].map((chunkId) => pieceOf(chunkId));
        const isSpeaking = alive.has(one) && random() < 0.3;
        await tracker.pass(pick([1_000, 1_000, 8_000]), [...alive]);
        await trim();
        for (const each of alive) await obey(each);
        if (isSpeaking && alive.has(one)) await one.heartbeat({ stored: word, slots: 0 });
        await expectTruth();
      }
      for (const each of tracker.keepers) {
        await drain(each, false);
        if (!alive.has(each)) await back(each);
        else await each.report([...disks.get(each)!]);
        if (!tracker.core.membership.get(each.keeperId)!.reported) await each.report([...disks.get(each)!]);
      }
      for (let round = 0; round < 120; round += 1) {
        await tracker.pass(1_000);
        await trim();
        for (const each of tracker.keepers) await obey(each);
      }
      expect(trimmed).toBeGreaterThan(0);
      for (const chunkId of chunkIds) {
        expect(copiesOn(chunkId)).toBe(policies.get(chunkId)!);
        for (const [keeperId, state] of Object.entries(await tracker.pieces(chunkId))) {
          const holder = tracker.keepers.find((each) => each.keeperId === keeperId)!;
          if (state === 'durable') expect(disks.get(holder)!.has(chunkId)).toBe(true);
        }
      }
    } finally {
      await tracker.end();
    }
  }, 60_000);
});
