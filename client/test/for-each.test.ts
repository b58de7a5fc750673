/** Jobs side by side: how many at once, in which order, and what one that fails does to the others. */
import { describe, expect, it } from '@jest/globals';
import { costOf, filesAtOnce, forEachOf } from '../src/core/for-each.js';

/** Lets every promise that can settle do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Jobs that run until they are told to end, and which items were asked for. */
function held() {
  const running = new Map<number, () => void>();
  const asked: number[] = [];
  return {
    running,
    asked,
    async *items(...costs: number[]): AsyncGenerator<{ n: number; cost: number }, void, undefined> {
      for (const [n, cost] of costs.entries()) {
        asked.push(n);
        yield { n, cost };
      }
    },
    job: ({ n }: { n: number }) =>
      new Promise<void>((resolve) => {
        running.set(n, () => {
          running.delete(n);
          resolve();
        });
      }),
    end: async (n: number) => {
      running.get(n)?.();
      await settle();
    },
  };
}

describe('forEachOf', () => {
  it('runs as many jobs at once as fit the room, and looks one item ahead', async () => {
    const { items, job, running, asked, end } = held();
    const all = forEachOf(items(1, 1, 1, 1, 1), 3, ({ cost }) => cost, job);
    await settle();
    expect([...running.keys()]).toEqual([0, 1, 2]);
    expect(asked).toEqual([0, 1, 2, 3]);
    await end(1);
    expect([...running.keys()]).toEqual([0, 2, 3]);
    for (const n of [0, 2, 3, 4]) await end(n);
    await all;
  });

  it('lets a large one wait for its part of the room, and none overtake it', async () => {
    const { items, job, running, end } = held();
    const all = forEachOf(items(1, 2, 4, 1), 4, ({ cost }) => cost, job);
    await settle();
    expect([...running.keys()]).toEqual([0, 1]);
    await end(0);
    expect([...running.keys()]).toEqual([1]);
    await end(1);
    expect([...running.keys()]).toEqual([2]);
    await end(2);
    await end(3);
    await all;
  });

  it('asks for no more after a failure, waits for those that run, and throws the first', async () => {
    const { items, job, running, asked, end } = held();
    let settled = false;
    const all = forEachOf(
      items(1, 1, 1, 1),
      2,
      ({ cost }) => cost,
      (item) => (item.n === 1 ? Promise.reject(new Error('one')) : job(item)),
    ).finally(() => (settled = true));
    all.catch(() => undefined);
    await settle();
    expect([...running.keys()]).toEqual([0]);
    expect(settled).toBe(false);
    await end(0);
    await expect(all).rejects.toThrow('one');
    expect(asked).toEqual([0, 1, 2]);
  });

  it('throws what the asking throws, after those that run have ended', async () => {
    const { job, end } = held();
    const all = forEachOf(
      (async function* () {
        yield { n: 0 };
        throw new Error('the walk');
      })(),
      2,
      () => 1,
      job,
    );
    all.catch(() => undefined);
    await settle();
    await end(0);
    await expect(all).rejects.toThrow('the walk');
  });
});

describe('the cost of a file', () => {
  it('lets many small files go at once, and as few large ones as before', () => {
    expect(filesAtOnce / costOf(4_096)).toBe(32);
    expect(filesAtOnce / costOf(64 * 1024 * 1024)).toBe(8);
  });
});
