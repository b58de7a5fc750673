import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acquireDataDirLock } from '../../src/program/data-dir-lock.js';
import { Child } from './child.js';

let dir: string;
const children: Child[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-lock-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await child.ended;
  }
  await rm(dir, { recursive: true });
});

async function taker(): Promise<Child> {
  const child = new Child('lock-taker.mjs');
  children.push(child);
  expect(await child.line()).toBe('ready');
  return child;
}

/** A lock file of a process that cannot be: its pid lives, but started at another time. */
function staleLock(token: string): string {
  return JSON.stringify({ pid: process.pid, token, startTicks: '1', bootId: 'another boot' });
}

describe('the lock of a data directory', () => {
  test('is refused to a second holder in this process until it is released', async () => {
    const lock = await acquireDataDirLock(dir);
    await expect(acquireDataDirLock(dir)).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: expect.stringContaining('this very process'),
    });
    await lock.release();
    await lock.release();
    await (await acquireDataDirLock(dir)).release();
    expect(await readdir(dir)).toEqual([]);
  });

  test('is refused while another process has it, and taken over when that was killed', async () => {
    const child = await taker();
    child.tell(`take ${dir}`);
    expect(await child.line()).toBe('taken');
    await expect(acquireDataDirLock(dir)).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      facts: { pid: String(child.process.pid) },
    });
    child.kill('SIGKILL');
    await child.ended;
    await (await acquireDataDirLock(dir)).release();
    expect(await readdir(dir)).toEqual([]);
  });

  test('a release leaves the lock of a later holder alone', async () => {
    const lock = await acquireDataDirLock(dir);
    await writeFile(join(dir, 'LOCK'), staleLock('00000000000000aa'));
    const later = await acquireDataDirLock(dir);
    await lock.release();
    await expect(acquireDataDirLock(dir)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await later.release();
  });

  test('is taken over from another process with the same pid', async () => {
    await writeFile(join(dir, 'LOCK'), staleLock('00000000000000aa'));
    const lock = await acquireDataDirLock(dir);
    expect(JSON.parse(await readFile(join(dir, 'LOCK'), 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
  });

  test('is taken over from a process that died while it took over', async () => {
    await writeFile(join(dir, 'LOCK'), staleLock('00000000000000aa'));
    await writeFile(join(dir, 'LOCK.00000000000000aa'), staleLock('00000000000000bb'));
    await (await acquireDataDirLock(dir)).release();
    expect(await readdir(dir)).toEqual([]);
  });

  test.each(['', '{"pid":', '{"pid":0,"token":"../../x"}'])(
    'is taken over if damaged: %j',
    async (content) => {
      await writeFile(join(dir, 'LOCK'), content);
      await (await acquireDataDirLock(dir)).release();
    },
  );

  test('names the directory that is not there', async () => {
    await expect(acquireDataDirLock(join(dir, 'missing'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(join(dir, 'missing')),
    });
  });

  test('of many that start at once in one process, one gets it', async () => {
    for (let round = 0; round < 20; round++) {
      if (round % 2 === 0) await writeFile(join(dir, 'LOCK'), staleLock('00000000000000aa'));
      const results = await Promise.allSettled(Array.from({ length: 10 }, () => acquireDataDirLock(dir)));
      const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(won).toHaveLength(1);
      await won[0]?.release();
    }
  });

  test('of many processes that take over a stale lock at once, one gets it', async () => {
    const takers = await Promise.all(Array.from({ length: 6 }, taker));
    for (let round = 0; round < 50; round++) {
      await writeFile(join(dir, 'LOCK'), staleLock(round.toString(16).padStart(16, '0')));
      for (const child of takers) child.tell(`take ${dir}`);
      const answers = await Promise.all(takers.map((child) => child.line()));
      expect(answers.filter((answer) => answer === 'taken')).toHaveLength(1);
      expect(answers.filter((answer) => answer.startsWith('refused DATA_DIR_LOCKED'))).toHaveLength(5);
      const winner = takers[answers.indexOf('taken')];
      winner?.tell('release');
      expect(await winner?.line()).toBe('released');
    }
    expect(await readdir(dir)).toEqual([]);
  });
});
