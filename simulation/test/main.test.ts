import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { minimise } from '../src/minimise.js';
import { runHistory } from '../src/history.js';
import { commandOf, parseOptions } from '../src/options.js';

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url));

async function untilPrinted(child: ChildProcess, text: string, printed: () => string): Promise<void> {
  while (!printed().includes(text)) await once(child.stdout as NodeJS.ReadableStream, 'data');
}

describe('npm run simulate', () => {
  it('ends with what it has seen when it is interrupted', async () => {
    const child = spawn(process.execPath, [program, '--minutes', '10', '--jobs', '1']);
    const ended = once(child, 'exit');
    let out = '';
    let errors = '';
    child.stdout.on('data', (data) => (out += String(data)));
    child.stderr.on('data', (data) => (errors += String(data)));
    await untilPrinted(child, 'seeds from', () => out);
    child.kill('SIGINT');
    expect(await ended).toEqual([130, null]);
    expect(out).toMatch(/interrupted after \d+ histories, no violation/);
    expect(errors).toBe('');
  });

  it('takes the command that it prints for a history without some of its faults', async () => {
    const command = commandOf(4711, new Set([0, 4, 7]));
    expect(command).toBe('npm run simulate -- --seed 4711 --without 0,4,7 --trace');
    const options = parseOptions(command.split(' ').slice(4));
    if (options === 'help') throw new Error('this is no question for help');
    expect(options).toMatchObject({
      firstSeed: 4711,
      seeds: 1,
      without: new Set([0, 4, 7]),
      minimise: false,
    });
    for (const wrong of [
      ['--without', '1'],
      ['--seed', '1', '--without', 'a'],
    ]) {
      expect(() => parseOptions(wrong)).toThrow('--without');
    }
  });

  it('keeps all of a trace for those who want it', async () => {
    const none = new Set(Array.from({ length: 1_000 }, (_, index) => index));
    const all = await runHistory(1, { without: none, traceLines: Infinity });
    const latest = await runHistory(1, { without: none, traceLines: 10 });
    expect(all.trace.length).toBeGreaterThan(10);
    expect(latest.trace).toEqual(all.trace.slice(-10));
  });

  it('looks for no fewer faults once it is interrupted', async () => {
    const failing = {
      ...(await runHistory(1, { plan: [] })),
      plan: [{ kind: 'a', atMs: 0, durationMs: 0, seed: 0 }],
    };
    const run = () => Promise.reject(new Error('it ran'));
    expect((await minimise(failing, {}, run, () => true)).without.size).toBe(0);
  });
});
