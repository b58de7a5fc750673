import { describe, expect, it } from '@jest/globals';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keptPart, samplesOf, writePage } from '../../src/report/page.js';
import { workloadTexts } from '../../src/report/texts.js';
import type { Results } from '../../src/results.js';
import { quickSizes } from '../../src/run/sizes.js';
import { ratio } from '../../src/stats.js';
import { sample } from '../support.js';

const results: Results = {
  format: 1,
  startedAt: '2026-01-02T03:04:05.000Z',
  seconds: 60,
  machine: {
    ...{ cpu: 'a processor', cores: 2, memoryBytes: 8e9, platform: 'linux x64', kernel: '6' },
    ...{ fileSystem: 'ext4', node: '20.19.0', versions: {} },
  },
  ...{ seed: 1, runs: 2, quick: false, sizes: quickSizes, absent: { weed: 'not installed' } },
  failures: [{ round: 2, trial: 'big: cp', message: 'no room' }],
  checks: { length: 1, 'SHA-256': 1, contents: 0 },
  samples: [
    sample({ round: 1, rate: 90 }),
    sample({ round: 2, rate: 110 }),
    sample({ round: 1, rate: 200, subject: 'cp' }),
    sample({ workload: 'small', unit: 'files/s', case: { action: 'up', sizeBytes: 4_096, inFlight: 64 } }),
    sample({
      workload: 'machine',
      subject: 'grpc-js',
      unit: 'calls/s',
      rate: 400,
      case: { action: 'call', inFlight: 64 },
    }),
  ],
};

describe('the page', () => {
  it('has every figure with what it does not show, and what is missing with its reason', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-test-'));
    const page = join(folder, 'performance.md');
    await writePage([{ name: 'x.json', results }], page);
    const text = await readFile(page, 'utf8');
    expect(text).toMatch(/\| up, 2 copies +\| holdfast +\| 100 \[90\.0–110\] MB\/s +\|/);
    expect(text).toMatch(/\| cp +\| 200 MB\/s +\| 0\.450 +\|/);
    expect(text).toMatch(/up, 4 KiB, 64 in flight \/ grpc-js, call, 64 in flight +\| 0\.250/);
    expect(text).toMatch(/over `cp` with sync +\| ≥ 0\.420 +\| 0\.450 +\| yes/);
    for (const workload of ['big', 'small', 'machine'] as const) {
      expect(text).toContain(workloadTexts[workload].notShown);
    }
    expect(text).not.toContain(workloadTexts.latency.about);
    expect(text).toContain('not measured: weed (not installed)');
    expect(text).toContain('**failed** in round 2: big: cp: no room');
    const charts = await readdir(join(folder, 'performance'));
    expect(charts.sort()).toEqual(['big-up.svg', 'small-up.svg']);
    for (const name of charts) expect(text).toContain(`(performance/${name})`);
    await rm(folder, { recursive: true });
  });

  it('compares within a run, and never a round of one run with that of another', () => {
    const cp = { ...results, samples: [sample({ subject: 'cp', rate: 200 })] };
    const samples = samplesOf([
      { name: 'x.json', results },
      { name: 'y.json', results: cp },
    ]);
    const of = { workload: 'big', case: { action: 'up', replicas: 2 } } as const;
    const over = ratio(samples, { ...of, subject: 'holdfast' }, { ...of, subject: 'cp' });
    expect(over).toMatchObject({ count: 1, median: 0.45 });
  });

  it('keeps what was written by hand when it is made again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-test-'));
    const page = join(folder, 'performance.md');
    await writePage([{ name: 'x.json', results }], page);
    const first = await readFile(page, 'utf8');
    await writeFile(page, first.replace('Not written yet.', 'Mostly in the kernel.'));
    const other = { ...results, samples: [sample({ rate: 5 })] };
    await writePage([{ name: 'y.json', results: other }], page);
    const second = await readFile(page, 'utf8');
    expect(keptPart(second)).toContain('Mostly in the kernel.');
    expect(second).toContain('`y.json`');
    expect(await readdir(join(folder, 'performance'))).toEqual(['big-up.svg']);
    await rm(folder, { recursive: true });
  });
});
