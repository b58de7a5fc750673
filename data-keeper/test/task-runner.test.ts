/** Which tasks are taken ahead of their turn, and which are left to another heartbeat. */
import { expect, it } from '@jest/globals';
import { newId, silentLogger } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { TaskRunner } from '../src/tasks/task-runner.js';
import { AuthorityWatch } from '../src/tracker/authority-watch.js';
import type { KeeperTask } from '../src/tracker/tracker-link.js';
import { until } from './support/fixtures.js';
import { ManualClock } from './support/manual-clock.js';

it('an order to trash that finds no slot is left, and not carried out when it may have been taken back', async () => {
  const clock = new ManualClock();
  const authority = {
    ...{ clusterId: newId(systemRandom), epoch: 1, instanceId: newId(systemRandom) },
    ...{ transactionId: 1, uptimeMs: 1 },
  };
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
  const runner = new TaskRunner({
    link: {
      completeTask: (_start: unknown, taskId: string) => {
        answered.push(taskId);
        return Promise.resolve(authority);
      },
    } as never,
    authority: watch,
    start: { keeperId: newId(systemRandom), storageId: newId(systemRandom), incarnation: 1 },
    ...{ clock, random: systemRandom, logger: silentLogger, deadlineMs: 1_000 },
    slots: { copies: 1, others: 1 },
    maxWaiting: 10,
    perform: ({ taskId }) => new Promise((resolve) => ends.set(taskId, () => resolve({}))),
  });
  const chunkId = newId(systemRandom);
  const trash = (taskId: string): KeeperTask => ({ taskId, action: { kind: 'trash', chunkIds: [chunkId] } });
  const copy = (taskId: string): KeeperTask => ({ taskId, action: { kind: 'fetch' } as never });
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
