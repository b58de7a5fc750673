import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingPrograms } from '../../src/machine/command.js';
import { Servers } from '../../src/peers/servers.js';

let dir: string;
let servers: Servers;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-servers-'));
  servers = new Servers(dir);
});
afterEach(async () => {
  await servers.stop();
  await rm(dir, { recursive: true });
});

/** A server of this kind: it says that it is there, and stays; how it ends when asked is in `onTerm`. */
const node = (onTerm: string): string[] => [
  '-e',
  `process.on('SIGTERM', () => { ${onTerm} }); console.log('ready'); setInterval(() => {}, 1000)`,
];
const saysReady = (log: string) => async () => (await readFile(join(dir, log), 'utf8')).includes('ready');
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('the servers of a peer', () => {
  test('are all ended by a stop, and can be stopped again', async () => {
    servers.start('tracker', process.execPath, node('process.exit()'));
    servers.start('keeper', process.execPath, node('process.exit()'));
    await servers.waitUntil('the first', saysReady('tracker-0.log'));
    await servers.waitUntil('the second', saysReady('keeper-1.log'));
    const pids = servers.processes.map(({ pid }) => pid);
    expect(servers.processes.map(({ role }) => role)).toEqual(['tracker', 'keeper']);
    expect(pids.map(isAlive)).toEqual([true, true]);

    await servers.stop();
    expect(pids.map(isAlive)).toEqual([false, false]);
    expect(servers.processes).toEqual([]);
    await servers.stop();
  });

  test('one that ends early is told with its last words, and not waited for', async () => {
    servers.start('keeper', process.execPath, ['-e', "console.error('no room'); process.exit(3)"]);
    await expect(servers.waitUntil('the keeper', async () => false)).rejects.toThrow(
      /ended early.*\n.*no room/,
    );
  });

  test('one that cannot be started is told too', async () => {
    servers.start('keeper', join(dir, 'no-such-program'), []);
    await expect(servers.waitUntil('the keeper', async () => false)).rejects.toThrow('ended early');
  });

  test('a question that fails is asked again', async () => {
    let asked = 0;
    await servers.waitUntil('the third answer', async () => {
      asked += 1;
      if (asked < 3) throw new Error('not yet');
      return true;
    });
    expect(asked).toBe(3);
  });
});

test('programs are looked for on the PATH', async () => {
  expect(await missingPrograms(['sh', 'holdfast-no-such-program'])).toEqual(['holdfast-no-such-program']);
});
