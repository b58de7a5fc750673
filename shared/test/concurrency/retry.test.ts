import { describe, expect, it } from '@jest/globals';
import { type RetryPolicy, withRetry } from '../../src/concurrency/retry.js';
import { HoldfastError } from '../../src/errors/index.js';
import { ManualClock } from '../support/manual-clock.js';

const policy: RetryPolicy = { initialBackoffMs: 100, maxBackoffMs: 1_000, factor: 2, budgetMs: 5_000 };
const highest = { bytes: Buffer.alloc, fraction: () => 0.999 };

describe('withRetry', () => {
  it('repeats what may be repeated, with growing pauses', async () => {
    const clock = new ManualClock();
    const pauses: number[] = [];
    let attempts = 0;
    const result = withRetry(
      policy,
      { clock, random: highest, onRetry: (_error, pauseMs) => pauses.push(Math.round(pauseMs)) },
      () => {
        attempts += 1;
        return attempts < 6
          ? Promise.reject(new HoldfastError('UNAVAILABLE', 'not yet'))
          : Promise.resolve('done');
      },
    );
    await clock.advance(10_000);
    await expect(result).resolves.toBe('done');
    expect(pauses).toEqual([100, 200, 400, 799, 999]);
  });

  it('gives up when the budget is spent, with the last error', async () => {
    const clock = new ManualClock();
    const result = withRetry(policy, { clock, random: highest }, (number) =>
      Promise.reject(new HoldfastError('UNAVAILABLE', `attempt ${number}`)),
    );
    result.catch(() => undefined);
    await clock.advance(60_000);
    await expect(result).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/[5-9]/),
    });
  });

  it.each(['NOT_FOUND', 'INVALID_ARGUMENT'] as const)('never repeats %s', async (code) => {
    let attempts = 0;
    const result = withRetry(policy, { clock: new ManualClock(), random: highest }, () => {
      attempts += 1;
      return Promise.reject(new HoldfastError(code, 'no'));
    });
    await expect(result).rejects.toMatchObject({ code });
    expect(attempts).toBe(1);
  });

  it('stops waiting when it is cancelled', async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const result = withRetry(policy, { clock, random: highest, signal: controller.signal }, () =>
      Promise.reject(new HoldfastError('UNAVAILABLE', 'not yet')),
    );
    result.catch(() => undefined);
    await clock.advance(10);
    controller.abort();
    await expect(result).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(clock.timers).toBe(0);
  });
});
