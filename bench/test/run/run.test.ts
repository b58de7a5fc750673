/** The harness itself, with trials that do next to nothing. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTrials } from '../../src/run/run.js';
import { quickSizes } from '../../src/run/sizes.js';
import type { Stage, Trial } from '../../src/run/stage.js';

let dataDir = '';
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-bench-test-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

const step = { case: { action: 'up' }, unit: 'MB/s', bytes: 1_000 } as const;

function trial(subject: string, run: (stage: Stage) => Promise<void>): Trial {
  return { workload: 'big', subject, label: subject, run };
}

function run(trials: readonly Trial[], { rounds = 1, signal = new AbortController().signal } = {}) {
  const all = Array.from({ length: rounds }, () => trials);
  return runTrials({ rounds: all, sizes: quickSizes, seed: 1, dataDir, signal, onTrial: () => undefined });
}

it('keeps a sample for every step and round', async () => {
  const outcome = await run([trial('one', (stage) => stage.measure(step, async () => ({ p50Ms: 7 })))], {
    rounds: 2,
  });
  expect(outcome.failures).toEqual([]);
  expect(outcome.samples.map(({ subject, round, details }) => [subject, round, details])).toEqual([
    ['one', 1, { p50Ms: 7 }],
    ['one', 2, { p50Ms: 7 }],
  ]);
  for (const { rate, seconds } of outcome.samples) expect(rate).toBeCloseTo(0.001 / seconds);
});

it('leaves out a trial whose bytes came back otherwise, says so, and goes on', async () => {
  const wrong = trial('wrong', async (stage) => {
    await stage.measure(step, async () => undefined);
    stage.checkSame('length', 999, 1_000);
  });
  const right = trial('right', async (stage) => {
    await stage.measure(step, async () => undefined);
    stage.checkSame('length', 1_000, 1_000);
  });
  const outcome = await run([wrong, right]);
  expect(outcome.samples.map(({ subject }) => subject)).toEqual(['right']);
  expect(outcome.failures).toEqual([
    { round: 1, trial: 'big: wrong', message: expect.stringContaining('length 999, and not 1000') },
  ]);
  expect(outcome.checks).toMatchObject({ length: 1 });
});

it('interrupted, it stops what was started and what still starts, and removes the data', async () => {
  const abort = new AbortController();
  const stopped: string[] = [];
  const stoppable = (name: string) => ({ stop: async () => void stopped.push(name) });
  const slow = trial('slow', async (stage) => {
    await stage.own(async () => stoppable('started'));
    await stage.own(async () => {
      abort.abort(new Error('interrupted'));
      await new Promise((resolve) => setImmediate(resolve));
      return stoppable('starting');
    });
    await stage.own(async () => stoppable('never'));
  });
  await expect(run([slow], { signal: abort.signal })).rejects.toThrow('interrupted');
  expect(stopped).toEqual(['starting', 'started']);
  expect(existsSync(join(dataDir, 'trial'))).toBe(false);
});
