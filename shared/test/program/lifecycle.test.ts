import { afterEach, describe, expect, test } from '@jest/globals';
import { Child } from './child.js';

const children: Child[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
});

function program(scenario: string, args: readonly string[] = [], env: Record<string, string> = {}): Child {
  const child = new Child('program.mjs', [scenario, ...args], { HOLDFAST_DEBUG: '', ...env });
  children.push(child);
  return child;
}

async function serving(scenario: string, env: Record<string, string> = {}): Promise<Child> {
  const child = program(scenario, [], env);
  expect(await child.line()).toBe('serving');
  return child;
}

/** Repeats a signal until the program has ended: what an impatient person does. */
async function insist(child: Child, signal: NodeJS.Signals) {
  const again = setInterval(() => child.kill(signal), 50);
  const end = await child.ended;
  clearInterval(again);
  return end;
}

describe('a program that is done', () => {
  test('ends with its own status, whatever it left open', async () => {
    expect((await program('status').ended).status).toBe(3);
    expect((await program('leak').ended).status).toBe(0);
  });

  test('prints its help and its version', async () => {
    const help = program('config', ['--help']);
    expect((await help.ended).status).toBe(0);
    expect(help.stdout).toContain('--keepers');
    expect(help.stdout).toContain('five of them');
    const version = program('config', ['--version']);
    expect((await version.ended).status).toBe(0);
    expect(version.stdout).toBe('1.2.3\n');
  });

  test('ends quietly when nobody reads its output any more', async () => {
    const child = program('floods');
    await child.line();
    child.process.stdout?.destroy();
    expect(await child.ended).toEqual({ status: 0, signal: null });
    expect(child.stderr).toBe('');
  });
});

describe('a program that cannot start', () => {
  test('says how it was used wrongly, with status 2', async () => {
    const child = program('config', ['--kepers', '5']);
    expect((await child.ended).status).toBe(2);
    expect(child.stderr).toContain('did you mean --keepers?');
    expect(child.stderr).not.toContain('    at ');
  });

  test('says what is wrong and what to do, without a stack', async () => {
    const child = program('addressInUse');
    expect((await child.ended).status).toBe(4);
    expect(child.stderr).toMatch(/EADDRINUSE[^]*what to do: Choose another port/);
    expect(child.stderr).not.toContain('    at ');
  });

  test('shows the stack of a defect to whoever debugs it', async () => {
    const plain = program('defect');
    expect((await plain.ended).status).toBe(1);
    expect(plain.stderr).toContain('HOLDFAST_DEBUG=1');
    expect(plain.stderr).not.toContain('    at ');
    const debugged = program('defect', [], { HOLDFAST_DEBUG: '1' });
    await debugged.ended;
    expect(debugged.stderr).toContain('    at ');
  });
});

describe('a program that is told to stop', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('stops gracefully on %s, with status 0', async (signal) => {
    const child = await serving('graceful');
    child.kill(signal);
    expect(await child.ended).toEqual({ status: 0, signal: null });
    expect(child.stdout).toBe(`stopped by ${signal}\n`);
  });

  test('takes the echo of a signal for the same request', async () => {
    const child = await serving('graceful');
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect((await child.ended).status).toBe(0);
  });

  test('ends at once on a second signal', async () => {
    expect((await insist(await serving('hangs'), 'SIGTERM')).status).toBe(143);
    expect((await insist(await serving('hangs'), 'SIGINT')).status).toBe(130);
  });

  test('does not take longer than its limit', async () => {
    const child = await serving('hangs', { LIMIT: '100' });
    child.kill('SIGTERM');
    expect((await child.ended).status).toBe(143);
    expect(child.stderr).toContain('did not stop within 0.1 s');
  });

  test('says why it could not stop', async () => {
    const child = await serving('failsToStop');
    child.kill('SIGTERM');
    expect((await child.ended).status).toBe(1);
    expect(child.stderr).toContain('the disk is gone');
  });

  test('gives up its start', async () => {
    const child = program('longStart');
    expect(await child.line()).toBe('starting');
    child.kill('SIGINT');
    expect((await child.ended).status).toBe(130);
    expect(child.stderr).toBe('');
  });

  test('outlives its terminal', async () => {
    const child = await serving('logging');
    child.kill('SIGHUP');
    await child.says('SIGHUP is ignored');
    child.kill('SIGTERM');
    expect((await child.ended).status).toBe(0);
  });
});

test.each([
  ['rejection', 'nobody waits for me'],
  ['exception', 'nobody catches me'],
])('an unhandled %s ends the program with status 70', async (scenario, message) => {
  const child = program(scenario);
  expect((await child.ended).status).toBe(70);
  expect(child.stderr).toContain(message);
});
