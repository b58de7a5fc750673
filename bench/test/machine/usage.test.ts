import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { meter, parsePeak, parseStat } from '../../src/machine/usage.js';

it('reads CPU times past a name with spaces and brackets', () => {
  const stat = '42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 3 0 150 50 700 300 20 0 11 0 1000 1 2 3';
  expect(parseStat(stat)).toEqual({ ownSeconds: 2, childrenSeconds: 10 });
});

it('reads the peak in bytes', () => {
  expect(parsePeak('Name:\tnode\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n')).toBe(2 * 1024 * 1024);
  expect(parsePeak('Name:\tkthreadd\n')).toBe(0);
});

const onLinux = process.platform === 'linux' ? it : it.skip;
onLinux('counts what a process and the commands beside it used', async () => {
  // Says a word when it has worked for 100 ms of its own CPU time.
  const work = 'while (process.cpuUsage().user + process.cpuUsage().system < S + 1e5);';
  const child = spawn(process.execPath, [
    '-e',
    `process.stdin.once('data', () => { const S = process.cpuUsage().user + process.cpuUsage().system; ${work} console.log('done'); })`,
  ]);
  const end = meter([{ role: 'client', pid: child.pid ?? 0 }]);
  child.stdin.write('go');
  await once(child.stdout, 'data');
  const command = spawn(process.execPath, ['-e', `const S = 0; ${work}`]);
  await once(command, 'exit');
  const usage = end();
  expect(usage.map(({ role }) => role)).toEqual(['client', 'command']);
  for (const { cpuSeconds } of usage) expect(cpuSeconds).toBeGreaterThanOrEqual(0.08); // less two ticks
  child.kill();
  await once(child, 'exit');
});
