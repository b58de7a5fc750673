/** Whom a keeper obeys, over a memory that a test can look into and make fail. */
import { describe, expect, it } from '@jest/globals';
import { type Authority, HoldfastError, silentLogger } from '@holdfast/shared';
import { systemClock } from '@holdfast/shared/node';
import { type AuthorityMemory, AuthorityWatch } from '../../src/tracker/authority-watch.js';

const offered = {
  clusterId: 'a'.repeat(32),
  epoch: 3,
  instanceId: 'b'.repeat(32),
  transactionId: 9,
  uptimeMs: 5,
};

class Memory implements AuthorityMemory {
  clusterId = '';
  witnessed: Authority | undefined;
  /** What a write to the disk does first. */
  disk: () => Promise<void> = () => Promise.resolve();

  async join(clusterId: string): Promise<void> {
    await this.disk();
    this.clusterId = clusterId;
  }

  async witness(authority: Authority): Promise<void> {
    await this.disk();
    this.witnessed = authority;
  }
}

function watchOver(memory: Memory, witnessIntervalMs: number): AuthorityWatch {
  return new AuthorityWatch(memory, systemClock, silentLogger, witnessIntervalMs);
}

describe('AuthorityWatch', () => {
  it('obeys a newer tracker that is behind, remembers what it saw before, and goes on from the newest copy', async () => {
    const memory = new Memory();
    const watch = watchOver(memory, 60_000);
    await watch.admit(offered);
    await watch.admit({ ...offered, transactionId: 500 });
    expect(memory.witnessed?.transactionId).toBe(9);
    expect(watch.highest?.transactionId).toBe(500);
    const older = { ...offered, epoch: 4, instanceId: 'c'.repeat(32), transactionId: 200 };
    await watch.admit(older);
    await watch.admit({ ...older, transactionId: 201 });
    expect(watch.current).toMatchObject({ epoch: 4, instanceId: older.instanceId });
    await watch.flush();
    for (const remembered of [watch.highest, memory.witnessed]) {
      expect(remembered).toMatchObject({ epoch: 3, transactionId: 500 });
    }
    // Started after the same one as the older copy, so its epoch is the same.
    const newest = { ...older, instanceId: 'd'.repeat(32), transactionId: 501 };
    await watch.admit(newest);
    expect(memory.witnessed).toMatchObject({ instanceId: newest.instanceId, transactionId: 501 });
    await expect(watch.admit(older)).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  });

  it.each<[string, () => Promise<void>]>([
    ['is full', () => Promise.reject(new HoldfastError('OUT_OF_SPACE', 'full'))],
    ['hangs', () => new Promise(() => undefined)],
  ])('goes on obeying the same tracker when the disk %s', async (_what, disk) => {
    const memory = new Memory();
    const watch = watchOver(memory, 0);
    await watch.admit(offered);
    memory.disk = disk;
    await watch.admit({ ...offered, transactionId: 10 });
    await watch.admit({ ...offered, transactionId: 11 });
    expect(watch.current?.transactionId).toBe(11);
  });

  it('does not obey a newer tracker that it cannot put on stable storage', async () => {
    const memory = new Memory();
    const watch = watchOver(memory, 0);
    await watch.admit(offered);
    memory.disk = () => Promise.reject(new HoldfastError('DISK_FAILED', 'broken'));
    const newer = { ...offered, epoch: 4, instanceId: 'c'.repeat(32) };
    await expect(watch.admit(newer)).rejects.toMatchObject({ code: 'DISK_FAILED' });
    expect(watch.current?.epoch).toBe(3);
  });

  it('obeys no other cluster than that of its storage, also before it has written down any tracker of that', async () => {
    const memory = new Memory();
    memory.clusterId = 'd'.repeat(32);
    const watch = watchOver(memory, 0);
    await expect(watch.admit(offered)).rejects.toMatchObject({ code: 'WRONG_CLUSTER' });
    expect([watch.current, memory.witnessed]).toEqual([undefined, undefined]);
  });
});
