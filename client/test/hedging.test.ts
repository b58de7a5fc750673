/** Hedged reads: when a second keeper is asked, how often at most, and that no byte of two answers is ever mixed. */
import { describe, expect, it } from '@jest/globals';
import { randomBytes, randomInt } from 'node:crypto';
import * as fc from 'fast-check';
import { HoldfastError, blockChecksums } from '@holdfast/shared';
import { HoldfastClient } from '../src/client.js';
import { FirstByteTimes, HedgeBudget, hedgeDelayMs } from '../src/core/hedging.js';
import { KeeperHealth } from '../src/core/keeper-health.js';
import { type Attempt, hedge } from '../src/download/hedge.js';
import { readFile } from '../src/download/read-file.js';
import { AutoClock } from './support/auto-clock.js';
import { FakeCluster, hang } from './support/fake-cluster.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));

describe('the delay', () => {
  it('is the 95th percentile of what was measured, with a floor, and patient before that', () => {
    const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
    expect(hedgeDelayMs([])).toBe(500);
    expect(hedgeDelayMs(upTo(9))).toBe(500);
    expect(hedgeDelayMs(upTo(10))).toBe(25);
    expect(hedgeDelayMs(upTo(100))).toBe(96);
    expect(hedgeDelayMs(upTo(100).reverse())).toBe(96);
  });

  it('is measured at the others, and lately', () => {
    const times = new FirstByteTimes();
    for (let count = 0; count < 200; count += 1) times.note('a', 900);
    for (let count = 0; count < 200; count += 1)
      times.note(count % 2 === 0 ? 'b' : 'slow', count % 2 ? 700 : 50);
    expect(hedgeDelayMs(times.ofOthers('slow'))).toBe(50);
    expect(hedgeDelayMs(times.ofOthers('b'))).toBe(700);
    expect(times.ofOthers('c')).toHaveLength(200);
  });
});

it(`the budget never gives more than a twentieth of the reads and what was saved (HOLDFAST_SEED=${seed})`, () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 2_000 }), (wishes) => {
      const budget = new HedgeBudget();
      let given = 0;
      wishes.forEach((wish, index) => {
        budget.noteRead();
        if (wish && budget.tryTake()) given += 1;
        expect(given).toBeLessThanOrEqual(2 + (index + 1) * 0.05 + 1e-6);
      });
    }),
    { seed, numRuns: 200 },
  );
  const budget = new HedgeBudget();
  for (let read = 0; read < 10_000; read += 1) budget.noteRead();
  const saved = Array.from({ length: 50 }, () => budget.tryTake()).filter(Boolean).length;
  expect(saved).toBe(10);
});

describe('a keeper that is late', () => {
  it('is slow after the second time, and asked again after a while', () => {
    const clock = { ...new AutoClock(), nowMs: 0, monotonicMs: () => clock.nowMs } as AutoClock & {
      nowMs: number;
    };
    const health = new KeeperHealth(clock);
    health.noteLate('a');
    expect(health.isSlow('a')).toBe(false);
    health.noteLate('a');
    expect(health.isSlow('a')).toBe(true);
    clock.nowMs = 10_001;
    expect(health.isSlow('a')).toBe(false);
    health.noteLate('a');
    expect(health.isSlow('a')).toBe(true);
    health.notePrompt('a');
    expect(health.isSlow('a')).toBe(false);
  });

  it('another one is asked, its call is ended, and the bytes are right', async () => {
    const cluster = new FakeCluster();
    const bytes = randomBytes(3 * MiB);
    cluster.put('/file', bytes);
    const ended: boolean[] = [];
    cluster.keeper(1).faults.read = async function* (messages, _request, signal) {
      signal.addEventListener('abort', () => ended.push(true));
      await hang(undefined, signal);
      yield* messages;
    };
    const startedMs = cluster.clock.monotonicMs();
    const context = cluster.context();
    expect((await readFile(context, { path: '/file' }, {})).equals(bytes)).toBe(true);
    // Three chunks at once: two hedges are there to begin with, the third waits until the keeper has failed.
    expect(cluster.clock.monotonicMs() - startedMs).toBeLessThan(3_000);
    expect(ended.length).toBeGreaterThanOrEqual(2);
    expect(cluster.calls.filter((call) => call.startsWith('read 2')).length).toBeGreaterThanOrEqual(2);
    expect(cluster.bad).toEqual([]);
    expect(context.health.isSlow(cluster.keeper(1).keeperId)).toBe(true);
  });

  it('and answers after all: whoever was first stays, whatever the other one sends', async () => {
    const cluster = new FakeCluster();
    const { clock } = cluster;
    const bytes = randomBytes(MiB);
    cluster.put('/file', bytes);
    // Keeper 1 wakes while the other one sends, with what is not the chunk, under checksums that fit: of a part of a
    // chunk nothing else would tell.
    cluster.keeper(1).faults.read = async function* (messages) {
      for await (const message of messages) {
        if (message.kind === 'header') {
          yield message;
          await clock.sleep(505);
          continue;
        }
        const data = Buffer.alloc(message.run.data.length, 7);
        yield { kind: 'blocks', run: { ...message.run, data, checksums: blockChecksums(data) } };
      }
    };
    cluster.keeper(2).faults.read = async function* (messages) {
      for await (const message of messages) {
        yield message;
        if (message.kind === 'blocks') await clock.sleep(10);
      }
    };
    const read = await readFile(cluster.context(), { path: '/file' }, { start: 10, end: MiB - 10 });
    expect(read.equals(bytes.subarray(10, MiB - 9))).toBe(true);
    expect(cluster.calls.filter((call) => call.startsWith('read'))).toEqual(['read 1 10', 'read 2 10']);
  });

  it('and does not hear that it is too late has no effect all the same', async () => {
    const { clock } = new FakeCluster();
    const effects: string[] = [];
    let wake = (): void => undefined;
    const late: Attempt = async (claim) => {
      await new Promise<void>((resolve) => (wake = resolve));
      claim();
      effects.push('late');
    };
    const prompt: Attempt = async (claim) => {
      claim();
      effects.push('prompt');
      wake();
      await new Promise((resolve) => setImmediate(resolve));
    };
    const { ended } = await hedge(clock, late, { delayMs: 1, attempt: () => prompt });
    expect(ended).toEqual([{ attempt: 'second', error: undefined }]);
    expect(effects).toEqual(['prompt']);
  });

  it('is read from when the other one fails', async () => {
    const cluster = new FakeCluster(2);
    const bytes = randomBytes(MiB);
    cluster.put('/file', bytes);
    cluster.keeper(1).faults.read = async function* (messages) {
      await cluster.clock.sleep(1_000);
      yield* messages;
    };
    cluster.keeper(2).faults.read = async function* () {
      yield* [];
      throw new HoldfastError('UNAVAILABLE', 'gone');
    };
    const startedMs = cluster.clock.monotonicMs();
    expect((await readFile(cluster.context(), { path: '/file' }, {})).equals(bytes)).toBe(true);
    expect(cluster.clock.monotonicMs() - startedMs).toBe(1_000);
    expect(cluster.calls.filter((call) => call.startsWith('read'))).toEqual(['read 1 0', 'read 2 0']);
  });
});

it.each([
  ['with a hedge for the first', true],
  ['with none to spend', false],
])('two keepers that are silent cost less than 3 s, %s', async (_, hasHedges) => {
  const cluster = new FakeCluster();
  const bytes = randomBytes(64 * KiB);
  cluster.put('/file', bytes);
  for (const silent of [1, 2]) {
    cluster.keeper(silent).faults.read = async function* (messages, _request, signal) {
      await hang(undefined, signal);
      yield* messages;
    };
  }
  const context = cluster.context();
  while (!hasHedges && context.health.hedges.tryTake());
  const startedMs = cluster.clock.monotonicMs();
  expect((await readFile(context, { path: '/file' }, {})).equals(bytes)).toBe(true);
  expect(cluster.clock.monotonicMs() - startedMs).toBeLessThan(3_000);
});

describe('one slow keeper among three', () => {
  /** Of `count` reads of 64 KiB, one after the other: how many met the slow keeper, and how many calls keepers got. */
  async function readMany(count: number, slowMs: number) {
    const cluster = new FakeCluster();
    const { clock } = cluster;
    const bytes = randomBytes(512 * KiB);
    cluster.put('/file', bytes);
    // The tracker's order varies; here it goes round.
    let turn = 0;
    cluster.locate = (extents) => {
      turn += 1;
      return extents.map(({ pieces, ...extent }) => ({
        ...extent,
        pieces: pieces.map((_, index) => pieces[(index + turn) % pieces.length]!),
      }));
    };
    cluster.keeper(1).faults.read = async function* (messages, _request, signal) {
      await clock.sleep(slowMs, { signal });
      yield* messages;
    };
    const client = new HoldfastClient(cluster.context(), () => undefined);
    const tookMs: number[] = [];
    for (let read = 0; read < count; read += 1) {
      const start = (read % 8) * 64 * KiB;
      const beganAtMs = clock.monotonicMs();
      const part = await client.readFile('/file', { start, end: start + 64 * KiB - 1 });
      tookMs.push(clock.monotonicMs() - beganAtMs);
      expect(part.equals(bytes.subarray(start, start + 64 * KiB))).toBe(true);
    }
    const calls = cluster.calls.filter((call) => call.startsWith('read')).length;
    return { slow: tookMs.filter((ms) => ms >= slowMs).length, calls };
  }

  it('delays next to nobody, with next to no more calls', async () => {
    const count = 1_000;
    const { slow, calls } = await readMany(count, 300);
    // A third without hedging; as it is, of the first reads, about which nothing is known yet, and one now and then.
    expect(slow).toBeLessThan(count * 0.02);
    expect(calls).toBeLessThanOrEqual(count * 1.05 + 2);
  });
});
