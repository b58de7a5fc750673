import { systemRandom } from '@holdfast/shared/node';
import { describe, expect, it } from '@jest/globals';
import { type TaskAction, TaskBoard } from '../../src/registry/task-board.js';
import { id } from '../support/fixture.js';
import { ManualClock } from '../support/manual-clock.js';

describe('the task board', () => {
  const verify = (): TaskAction => ({ kind: 'verify', chunkId: id(), digest: '' });
  const fetch = (): TaskAction => ({
    kind: 'fetch',
    chunkId: id(),
    lengthBytes: 1,
    digest: '',
    sourceKeeperIds: [],
  });

  it('lets no doubts of clients stand in the way of repair and reclamation', () => {
    const board = new TaskBoard(new ManualClock(), systemRandom);
    const doubts = Array.from({ length: 2_000 }, () => board.post('keeper', verify()));
    expect(doubts).toContain(false);
    expect(board.post('keeper', fetch())).toBe(true);
    expect(board.post('keeper', { kind: 'trash', chunkIds: [], transactionId: 1 })).toBe(true);
    const kinds = board.handOut('keeper', 3).map((task) => task.action.kind);
    expect(kinds).toEqual(['fetch', 'trash', 'verify']);
  });
});
