/** The program as a whole, small: real processes, real profiles. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type ProfileSummary, rows } from '../../src/profile/summary.js';

const program = fileURLToPath(new URL('../../dist/profile/main.js', import.meta.url));
const names = ['client', 'keeper-1', 'keeper-2', 'keeper-3', 'tracker'];
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-profile-test-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

(process.platform === 'linux' ? test : test.skip)(
  'records every process, and says what each step cost',
  async () => {
    const output = join(dir, 'output');
    const args = [program, '--size', '8MiB', '--output', output, '--data-dir', dir];
    const { stdout } = await promisify(execFile)(process.execPath, args);

    expect((await readdir(output)).sort()).toEqual(
      [...names.map((name) => `${name}.cpuprofile`), 'summary.json'].sort(),
    );
    const { steps } = JSON.parse(await readFile(join(output, 'summary.json'), 'utf8')) as ProfileSummary;
    expect(steps.map(({ action }) => action)).toEqual(['up', 'down']);
    for (const { processes } of steps) {
      expect(processes.map(({ name }) => name)).toEqual(names);
      for (const { cpuSecondsByRow, cpu } of processes) {
        const whole = rows.reduce((sum, row) => sum + (cpuSecondsByRow[row] ?? 0), 0);
        expect(whole).toBeCloseTo(cpu.userSeconds + cpu.systemSeconds, 6);
      }
    }
    // The client computes a checksum of every byte: that is in any profile of it.
    const client = await readFile(join(output, 'client.cpuprofile'), 'utf8');
    expect(client).toContain('/client/dist/upload/');
    expect(stdout).toMatch(/^up: 8 MiB, 2 copies, .* MB\/s$/m);
    expect(stdout).toMatch(/^down: 8 MiB/m);
    expect(await readdir(dir)).toEqual(['output']);
  },
);
