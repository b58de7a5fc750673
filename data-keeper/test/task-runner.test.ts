/** Which tasks are taken ahead of their turn, and which are left to another heartbeat. */
import { expect, it } from '@jest/globals';
import { newId, silentLogger } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { TaskRunner } from '../src/tasks/task-runner.js';
import { AuthorityWatch } from '../src/tracker/authority-watch.js';
import type { KeeperTask, TaskResult } from '../src/tracker/tracker-link.js';
import { until } from './support/fixtures.js';
import { ManualClock } from './support/manual-clock.js';

const authority = {
  ...{ clusterId: newId(systemRandom), epoch: 1, instanceId: newId(systemRandom) },
  ...{ transactionId: 1, uptimeMs: 1 },
};
const copy = (taskId: string): KeeperTask => ({ taskId, action: { kind: 'fetch' } as never });

/** A runner that obeys `authority`; its tasks end when the test says so. */
async function startRunner() {
  const clock = new ManualClock();
  const memory = {
    clusterId: authority.clusterId,
    witnessed: undefined,
    join: () => Promise.resolve(),
    witness: () => Promise.resolve(),
  };
  const watch = new AuthorityWatch(memory, clock, silentLogger, 1_000);
  await watch.admit(authority);
  const ends = new Map<string, () => void>();
  const answered: string[] = [];
  const errors = new Map<string, string | undefined>();
  const runner = new TaskRunner({
    link: {
      completeTask: (_start: unknown, taskId: string, { error }: TaskResult) => {
        answered.push(taskId);
        errors.set(taskId, error?.code);
        return Promise.resolve(watch.current);
      },
    } as never,
    authority: watch,
    start: { keeperId: newId(systemRandom), storageId: newId(systemRandom), incarnation: 1 },
    ...{ clock, random: systemRandom, logger: silentLogger, deadlineMs: 1_000 },
    slots: { copies: 1, others: 1 },
    maxWaiting: 10,
    perform: ({ taskId }) => new Promise((resolve) => ends.set(taskId, () => resolve({}))),
  });
  return { runner, watch, ends, answered, errors };
}

it('an order to trash that finds no slot is left, and not carried out when it may have been taken back', async () => {
  const { runner, ends, answered } = await startRunner();
  const chunkId = newId(systemRandom);
  const trash = (taskId: string): KeeperTask => ({ taskId, action: { kind: 'trash', chunkIds: [chunkId] } });
  runner.offer([trash('t1'), trash('t2'), copy('c1'), copy('c2')], authority);
  expect([...ends.keys()]).toEqual(['t1', 'c1']);
  expect(runner.freeSlots).toBe(12 - 3);
  for (const taskId of ['t1', 'c1']) ends.get(taskId)?.();
  await until(() => answered.length === 2);
  expect([...ends.keys()]).toEqual(['t1', 'c1', 'c2']);
  runner.offer([trash('t2')], authority);
  expect([...ends.keys()]).toEqual(['t1', 'c1', 'c2', 't2']);
  for (const end of ends.values()) end();
  await runner.stop();
});

it('a task that waits is not carried out once another tracker has taken the place of the one that ordered it', async () => {
  const { runner, watch, ends, answered, errors } = await startRunner();
  runner.offer([copy('c1'), copy('c2')], authority);
  await watch.admit({ ...authority, epoch: 2, instanceId: newId(systemRandom), uptimeMs: 1 });
  ends.get('c1')?.();
  await until(() => answered.length === 2 || ends.has('c2'));
  expect([...ends.keys()]).toEqual(['c1']);
  expect(errors.get('c2')).toBe('STALE_EPOCH');
  await runner.stop();
});
