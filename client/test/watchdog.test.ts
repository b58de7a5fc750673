import { expect, it } from '@jest/globals';
import { type Clock, HoldfastError } from '@holdfast/shared';
import { Watchdog } from '../src/core/watchdog.js';

it('keeps no timer once it is stopped, whoever still expects something', () => {
  const waiting = new Set<() => void>();
  const clock = {
    schedule(_delayMs: number, fire: () => void) {
      waiting.add(fire);
      return () => void waiting.delete(fire);
    },
  } as unknown as Clock;
  const watchdog = new Watchdog(clock);
  const late = (): HoldfastError => new HoldfastError('DEADLINE_EXCEEDED', 'late');
  watchdog.expect(1_000, late);
  expect(waiting.size).toBe(1);
  watchdog.stop();
  expect(waiting.size).toBe(0);
  watchdog.expect(1_000, late);
  expect(waiting.size).toBe(0);
});
