import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, failure, id } from '../support/fixture.js';

describe('metadata that went backwards', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({
      keepers: 3,
      settings: { reclaimGraceMs: 1_000, trashRetentionMs: 0 },
    });
  });
  afterEach(() => tracker.end());

  const witness = (change: {
    epoch?: number;
    transactionId?: number;
    instanceId?: string;
    clusterId?: string;
  }) => {
    const { clusterId, epoch, instanceId } = tracker.core.identity;
    return tracker.keepers[0]!.register(clusterId, {
      clusterId,
      epoch,
      instanceId,
      transactionId: tracker.store.transactionId,
      ...change,
    });
  };
  const isRegressed = async () => (await tracker.core.status.status()).metadataRegressed;
  const write = () => tracker.core.namespace.createDirectory([id()], false, id());

  it('is not seen where keepers remember what the tracker has', async () => {
    await witness({});
    await witness({ epoch: 0, transactionId: 0, instanceId: id() });
    await witness({ clusterId: id(), epoch: 99, transactionId: 99_999 });
    expect(await isRegressed()).toBe(false);
    await write();
  });

  for (const [what, change] of [
    ['a later transaction', { transactionId: 99_999 }],
    ['a later epoch', { epoch: 99 }],
    ['another tracker of the same epoch', { instanceId: id() }],
  ] as const) {
    it(`is proven by a keeper that has witnessed ${what}: reads only, for good`, async () => {
      const { version } = await tracker.put('/file');
      await tracker.core.namespace.deleteEntry(['file'], false, undefined, id());
      await witness(change);
      for (let start = 0; start < 2; start += 1) {
        expect(await isRegressed()).toBe(true);
        await failure('METADATA_REGRESSED', (async () => write())());
        await failure('METADATA_REGRESSED', tracker.begin());
        expect((await tracker.core.status.status()).summary).toMatch(/^METADATA REGRESSED/);
        // A step to know what there is by now, one when that is old, and one to act on it.
        for (let step = 0; step < 4; step += 1) {
          await tracker.core.reclaim.step();
          tracker.clock.advance(2_000);
        }
        const target = { target: { version }, offset: 0, lengthBytes: 0, pageSize: 10 };
        expect((await tracker.core.locations.locate(target)).extents).toHaveLength(1);
        await tracker.restart();
      }
    });
  }

  it('is proven by a single transaction that an earlier start had done, whatever was done since', async () => {
    const { clusterId, epoch, instanceId } = tracker.core.identity;
    const lost = { clusterId, epoch, instanceId, transactionId: tracker.store.transactionId + 1 };
    await tracker.restart();
    await write();
    expect(tracker.store.transactionId).toBeGreaterThan(lost.transactionId);
    await tracker.keepers[0]!.register(clusterId, { ...lost, transactionId: lost.transactionId - 1 });
    expect(await isRegressed()).toBe(false);
    await tracker.keepers[1]!.register(clusterId, lost);
    expect(await isRegressed()).toBe(true);
  });

  it('orders nothing that was to be done before', async () => {
    const { chunkIds } = await tracker.put('/file');
    const [, keeper] = tracker.keepers;
    const [chunkId = ''] = chunkIds;
    await tracker.core.locations.reportBadPiece(chunkId, keeper!.keeperId, tracker.core.tokens.read(chunkId));
    await witness({ epoch: 99 });
    expect(await keeper!.heartbeat()).toEqual([]);
  });

  it('drops nothing of a keeper that comes back empty', async () => {
    await tracker.put('/file');
    await witness({ epoch: 99 });
    const wiped = tracker.keepers[1]!;
    wiped.storageId = id();
    await failure('METADATA_REGRESSED', wiped.register());
  });
});
