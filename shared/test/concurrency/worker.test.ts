import { describe, expect, it } from '@jest/globals';
import { Worker } from '../../src/concurrency/worker.js';
import { ManualClock } from '../support/manual-clock.js';

describe('Worker', () => {
  it('steps, pauses, goes on after a failure, and stops', async () => {
    const clock = new ManualClock();
    let steps = 0;
    const worker = new Worker({
      name: 'test',
      clock,
      retryInMs: 500,
      step: () => {
        steps += 1;
        return steps === 2 ? Promise.reject(new Error('once')) : Promise.resolve({ nextInMs: 100 });
      },
    });
    worker.start();
    await clock.advance(0);
    expect(steps).toBe(1);
    await clock.advance(100);
    expect(steps).toBe(2);
    expect(worker.status).toMatchObject({ running: true, failures: 1 });
    await clock.advance(499);
    expect(steps).toBe(2);
    await clock.advance(1);
    expect(steps).toBe(3);
    await worker.stop();
    await clock.advance(10_000);
    expect(steps).toBe(3);
    expect(clock.timers).toBe(0);
  });

  it('starts the next step at once when it is woken', async () => {
    const clock = new ManualClock();
    let steps = 0;
    const worker = new Worker({
      name: 'test',
      clock,
      step: () => Promise.resolve({ nextInMs: (steps += 1) * 1e6 }),
    });
    worker.start();
    await clock.advance(0);
    worker.wake();
    await clock.advance(0);
    expect(steps).toBe(2);
    await worker.stop();
  });
});
