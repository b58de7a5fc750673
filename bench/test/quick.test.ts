/** The whole bench, small: every workload runs, every figure is there, and every byte was compared. Not how fast. */
import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Results } from '../src/results.js';
import { caseKey, workloads } from '../src/samples.js';

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));
/** Under a minute where nothing else runs; a busy machine takes several. */
const limitMs = 600_000;

it(
  'measures the floors and the product in every workload, and leaves nothing behind',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-bench-test-'));
    const output = join(folder, 'results.json');
    const flags = [
      '--quick',
      '--runs',
      '1',
      '--seed',
      '7',
      '--data-dir',
      join(folder, 'data'),
      '--output',
      output,
    ];
    const child = spawn(process.execPath, [program, ...flags, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let progress = '';
    child.stderr.on('data', (part: Buffer) => (progress += part.toString()));
    const printed = child.stdout.toArray();
    const [status] = (await once(child, 'close')) as [number | null];
    expect({ status, progress }).toMatchObject({ status: 0 });

    const results = JSON.parse(await readFile(output, 'utf8')) as Results;
    expect(JSON.parse(Buffer.concat((await printed) as Buffer[]).toString())).toEqual(results);
    expect(results).toMatchObject({ format: 1, seed: 7, runs: 1, quick: true, failures: [] });
    expect(results.machine.cores).toBeGreaterThan(0);
    const { samples, checks } = results;
    expect(new Set(samples.map(({ workload }) => workload))).toEqual(new Set(workloads));
    const subjects = (workload: string) =>
      [
        ...new Set(samples.filter((sample) => sample.workload === workload).map(({ subject }) => subject)),
      ].sort();
    expect(subjects('machine')).toEqual(['disk', 'grpc-js', 'memory', 'tcp']);
    expect(subjects('big')).toEqual(expect.arrayContaining(['holdfast', 'holdfast-cli', 'http']));
    const names = samples.map(({ workload, subject, case: of }) => `${workload} ${subject} ${caseKey(of)}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { rate, seconds, details, usage } of samples) {
      const figures = [rate, seconds, ...Object.values(details)];
      expect(figures.every((value) => Number.isFinite(value) && value > 0)).toBe(true);
      expect(usage.every(({ cpuSeconds }) => cpuSeconds >= 0)).toBe(true);
    }
    // Every read has its length compared, and every kind of them its contents.
    const reads = samples.filter(({ unit, case: of }) => unit === 'MB/s' && of.action.startsWith('down'));
    expect(checks.length).toBeGreaterThanOrEqual(reads.length);
    expect(checks['SHA-256']).toBeGreaterThanOrEqual(8);
    expect(checks.contents).toBeGreaterThanOrEqual(12);
    expect(await readdir(join(folder, 'data'))).toEqual([]);
    await rm(folder, { recursive: true });
  },
  limitMs,
);
