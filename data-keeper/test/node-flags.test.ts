/** A keeper starts itself again with the flags it needs, once, and never insists. */
import { describe, expect, it } from '@jest/globals';
import { type Restartable, nodeFlags, restartWithNodeFlags } from '../src/node-flags.js';

function startedWith(execArgv: readonly string[], execve: Restartable['execve']): Restartable {
  const argv = ['/bin/node', '/bin/data-keeper.cjs', '--data-dir', 'a b'];
  return { execPath: '/bin/node', execArgv, argv, env: { A: '1' }, ...(execve && { execve }) };
}

describe('restartWithNodeFlags', () => {
  const calls: unknown[][] = [];
  const execve = ((...args: unknown[]) => calls.push(args)) as unknown as Restartable['execve'];

  it('becomes the same program with the flags before all others', () => {
    restartWithNodeFlags(startedWith(['--enable-source-maps'], execve));
    const args = ['/bin/node', ...nodeFlags, '--enable-source-maps'];
    expect(calls).toEqual([
      ['/bin/node', [...args, '/bin/data-keeper.cjs', '--data-dir', 'a b'], { A: '1' }],
    ]);
  });

  it.each([...nodeFlags, '--initial_old_space_size=64', '--max-old-space-size=100', '--initial-heap-size=9'])(
    'goes on when it has %s',
    (flag) => {
      calls.length = 0;
      restartWithNodeFlags(startedWith([flag], execve));
      expect(calls).toEqual([]);
    },
  );

  it('goes on when the environment has one', () => {
    calls.length = 0;
    const env = { NODE_OPTIONS: '--enable-source-maps --max-old-space-size=100' };
    restartWithNodeFlags({ ...startedWith([], execve), env });
    expect(calls).toEqual([]);
  });

  it('goes on where it cannot', () => {
    restartWithNodeFlags(startedWith([], undefined));
    const fails = (() => {
      throw new Error('not on this platform');
    }) as unknown as Restartable['execve'];
    restartWithNodeFlags(startedWith([], fails));
  });
});
