/** A cluster of processes, and what becomes of it when whoever started it dies. */
import { expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const launcher = fileURLToPath(new URL('../bin/local-cluster.cjs', import.meta.url));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function startedCluster(dataDir: string) {
  const child = spawn(process.execPath, [launcher, '--data-dir', dataDir, '--tracker-port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve) =>
    createInterface({ input: child.stdout }).once('line', resolve),
  );
  const said = JSON.parse(line) as {
    tracker: string;
    trackerPid: number;
    keepers: { pid: number; id: string }[];
  };
  return { child, ended, said, pids: [said.trackerPid, ...said.keepers.map(({ pid }) => pid)] };
}

async function allGone(pids: readonly number[]): Promise<void> {
  while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 50));
}

it('tells in one line of JSON what it started, and stops all of it on SIGTERM', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-processes-'));
  const { child, ended, said, pids } = await startedCluster(dataDir);
  expect(said.tracker).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(said.keepers.map(({ id }) => id)).toEqual(
    Array.from({ length: 3 }, () => expect.stringMatching(/^[0-9a-f]{32}$/)),
  );
  expect(pids.every(isAlive)).toBe(true);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  expect(pids.some(isAlive)).toBe(false);
  await rm(dataDir, { recursive: true });
});

it('leaves no server behind when it is killed', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-processes-'));
  const { child, ended, pids } = await startedCluster(dataDir);
  child.kill('SIGKILL');
  await ended;
  await allGone(pids);
  await rm(dataDir, { recursive: true });
});
