/** The keeper and its tracker: registration, leases, reports, authority. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { type FileSystem, HoldfastError, newId } from '@holdfast/shared';
import { nodeFileSystem, systemRandom } from '@holdfast/shared/node';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDataKeeper } from '../src/index.js';
import { FakeTracker } from './support/fake-tracker.js';
import { AheadClock } from './support/ahead-clock.js';
import { MiB, TestCluster, bytesOf, digestOf, until } from './support/fixtures.js';

let cluster: TestCluster;
afterEach(() => cluster.end());

const data = bytesOf(100_000);

async function write(): Promise<string> {
  const header = cluster.header(data.length);
  await cluster.client().write(header, data);
  return header.chunkId;
}

describe('registration', () => {
  it('waits for a tracker that is not there yet', async () => {
    cluster = await TestCluster.start(0);
    const { tracker } = cluster;
    tracker.refuse.register = new HoldfastError('UNAVAILABLE', 'starting');
    const started = cluster.add({ zone: 'rack-7' });
    setTimeout(() => delete tracker.refuse.register, 100);
    const keeper = await started;
    expect(tracker.registrations).toMatchObject([
      { keeperId: keeper.keeperId, storageId: keeper.storageId, address: keeper.address, zone: 'rack-7' },
    ]);
    expect(tracker.registrations[0]).toMatchObject({ clusterId: '', witnessed: null });
  });

  it('gives up after its time, and frees the port', async () => {
    cluster = await TestCluster.start(1);
    const { address } = cluster.keeper();
    await cluster.keeper().kill();
    cluster.tracker.refuse.register = new HoldfastError('UNAVAILABLE', 'starting');
    const late = cluster.add({ listen: address, settings: { registerTimeoutMs: 50 } });
    await expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    delete cluster.tracker.refuse.register;
    await cluster.add({ listen: address });
  });

  it('is refused by another cluster, and no piece is touched', async () => {
    cluster = await TestCluster.start(1);
    const chunkId = await write();
    const { dataDir } = cluster.keeper();
    await cluster.keeper().stop();
    const identity = await readFile(join(dataDir, 'IDENTITY'));
    const stranger = await new FakeTracker().start();
    try {
      await expect(
        startDataKeeper({ dataDir, listen: '127.0.0.1:0', tracker: stranger.address }),
      ).rejects.toMatchObject({ code: 'WRONG_CLUSTER' });
    } finally {
      stranger.stop();
    }
    expect((await readFile(join(dataDir, 'IDENTITY'))).equals(identity)).toBe(true);
    await cluster.add({ dataDir });
    const read = await cluster.client(1).read(cluster.readRequest(chunkId));
    expect(read.data.equals(data)).toBe(true);
  });

  it('brings along what the storage has witnessed, with a higher incarnation', async () => {
    cluster = await TestCluster.start(1);
    cluster.tracker.authority = { ...cluster.tracker.authority, transactionId: 99 };
    const { dataDir } = cluster.keeper();
    await cluster.keeper().stop();
    await cluster.add({ dataDir });
    expect(cluster.tracker.registrations[1]).toMatchObject({
      clusterId: cluster.tracker.authority.clusterId,
      witnessed: { epoch: 1, transactionId: 99 },
    });
    const [first, second] = cluster.tracker.registrations;
    expect(second!.incarnation).toBeGreaterThan(first!.incarnation);
  });

  it('brings along also what it has seen a moment ago', async () => {
    cluster = await TestCluster.start(1);
    const { tracker } = cluster;
    tracker.authority = { ...tracker.authority, transactionId: 99 };
    const before = tracker.heartbeats.length;
    await until(() => tracker.heartbeats.length > before + 1);
    tracker.refuse.heartbeat = new HoldfastError('NOT_REGISTERED', 'who are you?');
    await until(() => tracker.registrations.length >= 2);
    expect(tracker.registrations[1]).toMatchObject({ witnessed: { epoch: 1, transactionId: 99 } });
  });

  it('happens again, with a full report, when the tracker has forgotten the keeper', async () => {
    cluster = await TestCluster.start(1);
    const { tracker } = cluster;
    const chunkId = await write();
    await until(() => tracker.pages.some(({ last }) => last));
    tracker.pages.length = 0;
    tracker.refuse.heartbeat = new HoldfastError('NOT_REGISTERED', 'who are you?');
    await until(() => tracker.registrations.length >= 2);
    delete tracker.refuse.heartbeat;
    await until(() => tracker.pages.some(({ last }) => last));
    expect(tracker.pages.find(({ last }) => last)?.pieces).toMatchObject([
      { chunkId, pieceIndex: 0, length: data.length, digest: digestOf(data) },
    ]);
  });
});

describe('a full report', () => {
  it('happens again, once, when the tracker wishes for one, and until it has it', async () => {
    cluster = await TestCluster.start(1);
    const chunkId = await write();
    const { tracker } = cluster;
    const wished = newId(systemRandom);
    await until(() => tracker.pages.some(({ last }) => last));
    tracker.refuse.report = new HoldfastError('UNAVAILABLE', 'busy');
    tracker.wantedReport = wished;
    const beats = tracker.heartbeats.length;
    await until(() => tracker.heartbeats.length > beats + 3);
    delete tracker.refuse.report;
    const answers = () => tracker.pages.filter((page) => page.last && page.wantedReport === wished);
    await until(() => answers().length > 0);
    expect(answers()[0]).toMatchObject({ pieces: [{ chunkId }] });
    const then = tracker.heartbeats.length;
    await until(() => tracker.heartbeats.length > then + 5);
    expect(answers()).toHaveLength(1);
    // The keeper's own reports answer no wish.
    expect(tracker.pages.filter((page) => page.wantedReport === '').length).toBeGreaterThan(0);
  });

  it('ends when the keeper registers again, and a new one begins', async () => {
    cluster = await TestCluster.start(0);
    const { tracker } = cluster;
    // The first report's page is on its way for ever; its deadline is not what ends it.
    tracker.beforeReportAnswer = () => new Promise(() => undefined);
    await cluster.add({ settings: { controlDeadlineMs: 600_000 } });
    await until(() => tracker.pages.length === 1);
    tracker.beforeReportAnswer = () => Promise.resolve();
    tracker.refuse.heartbeat = new HoldfastError('NOT_REGISTERED', 'who are you?');
    await until(() => tracker.registrations.length >= 2);
    delete tracker.refuse.heartbeat;
    await until(() => tracker.pages.length >= 2);
    expect(tracker.pages[1]?.reportId).not.toBe(tracker.pages[0]?.reportId);
  });

  it('and a registration come at the pace of heartbeats to a tracker that forgets at once', async () => {
    cluster = await TestCluster.start(0);
    const { tracker } = cluster;
    tracker.heartbeatIntervalMs = 200;
    tracker.refuse.heartbeat = new HoldfastError('NOT_REGISTERED', 'who are you?');
    tracker.refuse.report = tracker.refuse.heartbeat;
    await cluster.add();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(tracker.registrations.length).toBeLessThanOrEqual(4);
    delete tracker.refuse.heartbeat;
    delete tracker.refuse.report;
    await until(() => tracker.pages.some(({ last }) => last));
  });
});

describe('heartbeats', () => {
  it('tell of each stored piece until the tracker has acknowledged it', async () => {
    cluster = await TestCluster.start(1);
    const { tracker } = cluster;
    await until(() => tracker.pages.some(({ last }) => last));
    tracker.refuse.heartbeat = new HoldfastError('UNAVAILABLE', 'busy');
    const chunkId = await write();
    const tellings = (): number =>
      tracker.heartbeats.filter(({ stored }) => stored.some((piece) => piece.chunkId === chunkId)).length;
    await until(() => tellings() >= 2);
    delete tracker.refuse.heartbeat;
    const before = tracker.heartbeats.length;
    await until(() => tracker.heartbeats.length > before + 2);
    const told = tellings();
    await until(() => tracker.heartbeats.length > before + 5);
    expect(tellings()).toBe(told);
    expect(tracker.heartbeats.at(-1)).toMatchObject({ stopping: false, freeTaskSlots: 84 });
    expect(tracker.heartbeats.at(-1)?.capacity?.usedBytes).toBeGreaterThan(data.length);
  });

  it('renew the lease; past it writes are refused and reads are not', async () => {
    const clock = new AheadClock();
    cluster = await TestCluster.start(1, { clock });
    const { tracker } = cluster;
    const chunkId = await write();
    // Two leases in all.
    for (let part = 0; part < 3; part += 1) {
      clock.setAhead((tracker.leaseMs * 2) / 3);
      const before = tracker.heartbeats.length;
      // Of two that come now, the first was answered.
      await until(() => tracker.heartbeats.length > before + 1);
      await write();
    }
    tracker.stop();
    clock.setAhead(tracker.leaseMs);
    const refused = async (): Promise<unknown> =>
      cluster
        .client()
        .write(cluster.header(data.length), data)
        .then(
          () => undefined,
          (error: unknown) => error,
        );
    expect(await refused()).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect((await cluster.client().read(cluster.readRequest(chunkId))).data.equals(data)).toBe(true);
    await tracker.restart();
    await until(async () => (await refused()) === undefined);
  });

  it('come before the lease is over, however seldom the tracker wants them', async () => {
    const clock = new AheadClock();
    cluster = await TestCluster.start(0);
    const { tracker } = cluster;
    tracker.heartbeatIntervalMs = 2 ** 32 - 1;
    await cluster.add({ clock });
    await until(() => tracker.heartbeats.length > 0);
    for (let beats = 1; beats <= 5; beats += 1) {
      const stepMs = tracker.leaseMs / 20;
      let gapMs = 0;
      for (; tracker.heartbeats.length <= beats; gapMs += stepMs) {
        // Refused where the lease has lapsed. Meanwhile the keeper hears what its last heartbeat was answered.
        await write();
        clock.setAhead(stepMs);
      }
      expect(gapMs).toBeLessThan(tracker.leaseMs);
    }
  });

  it('say goodbye when the keeper stops, and not when it is killed', async () => {
    cluster = await TestCluster.start(2);
    const { tracker } = cluster;
    await cluster.keeper(0).stop();
    await cluster.keeper(1).kill();
    const last = (index: number): boolean | undefined =>
      tracker.heartbeats.filter(({ keeperId }) => keeperId === cluster.keeper(index).keeperId).at(-1)
        ?.stopping;
    expect(last(0)).toBe(true);
    expect(last(1)).not.toBe(true);
  });
});

describe('authority', () => {
  it('of a restarted tracker is on disk before the keeper obeys it', async () => {
    cluster = await TestCluster.start(1);
    const { tracker } = cluster;
    await tracker.restart();
    await until(async () => {
      const state = JSON.parse(await readFile(join(cluster.keeper().dataDir, 'STATE'), 'utf8')) as {
        witnessed: { epoch: number };
      };
      return state.witnessed.epoch === 2;
    });
    await write();
  });

  it.each([
    ['an earlier epoch', { epoch: 1 }],
    ['the same epoch under another instance', { instanceId: '9'.repeat(32) }],
    ['another cluster', { clusterId: '9'.repeat(32), epoch: 50 }],
  ])('of %s is not obeyed: no task, no lease', async (_what, change) => {
    const clock = new AheadClock();
    cluster = await TestCluster.start(0);
    const { tracker } = cluster;
    tracker.authority = { ...tracker.authority, epoch: 5 };
    await cluster.add({ clock });
    const chunkId = await write();
    const taskId = newId(systemRandom);
    const genuine = tracker.authority;
    tracker.authority = { ...genuine, ...change };
    tracker.tasks.set(taskId, { taskId, trashPieces: { chunkIds: [chunkId] } });
    clock.setAhead(tracker.leaseMs);
    // The answer of a heartbeat that was on its way may be a genuine one; it renewed the lease as of before.
    const before = tracker.heartbeats.length;
    const heartbeatsCome = (isEnough: () => boolean): Promise<void> =>
      until(() => {
        // One that failed is followed by a pause.
        clock.setAhead(1_000);
        return isEnough();
      });
    await heartbeatsCome(() => tracker.heartbeats.length > before + 2);
    await expect(cluster.client().write(cluster.header(10), bytesOf(10))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(tracker.completed).toEqual([]);
    expect((await cluster.client().read(cluster.readRequest(chunkId))).data.equals(data)).toBe(true);
    tracker.authority = genuine;
    await heartbeatsCome(() => tracker.completed.length > 0);
  });
});

describe('the end of a keeper', () => {
  it('by stop lets a running write finish', async () => {
    cluster = await TestCluster.start(1);
    const long = bytesOf(3 * MiB);
    const header = cluster.header(long.length);
    let stopped: Promise<void> | undefined;
    const { receipts } = await cluster.client().write(header, long, {
      between: async (index) => {
        if (index !== 2) return;
        await until(async () => (await cluster.temporary()).length > 0);
        stopped = cluster.keeper().stop();
      },
    });
    await stopped;
    expect(receipts).toHaveLength(1);
  });

  it('by kill leaves temp files, which the next start removes, and every stored piece', async () => {
    cluster = await TestCluster.start(1);
    const chunkId = await write();
    const { dataDir, keeperId } = cluster.keeper();
    const long = bytesOf(3 * MiB);
    await cluster
      .client()
      .write(cluster.header(long.length), long, {
        between: async (index) => {
          if (index !== 2) return;
          await until(async () => (await cluster.temporary()).length > 0);
          await cluster.keeper().kill();
        },
      })
      .catch(() => undefined);
    expect(await readdir(join(dataDir, 'tmp'))).toHaveLength(1);
    const again = await cluster.add({ dataDir });
    expect(again.keeperId).toBe(keeperId);
    expect(await readdir(join(dataDir, 'tmp'))).toEqual([]);
    expect((await cluster.client(1).read(cluster.readRequest(chunkId))).data.equals(data)).toBe(true);
  });
});

describe('a storage that failed a sync', () => {
  it('is told with every heartbeat; writes are refused, reads go on, and it stops in peace', async () => {
    let broken = false;
    const failing: FileSystem = {
      ...nodeFileSystem,
      open: async (path, mode) => {
        const file = await nodeFileSystem.open(path, mode);
        const syncData = (): Promise<void> =>
          broken ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : file.syncData();
        return {
          ...{ syncData, close: () => file.close(), sizeBytes: () => file.sizeBytes() },
          read: (...args) => file.read(...args),
          write: (...args) => file.write(...args),
        };
      },
    };
    cluster = await TestCluster.start(1, { fileSystem: failing, settings: { witnessIntervalMs: 0 } });
    const { tracker } = cluster;
    const chunkId = await write();
    await until(() => tracker.heartbeats.length > 0);
    expect(tracker.heartbeats.at(-1)?.storageError).toBeNull();
    broken = true;
    await expect(write()).rejects.toMatchObject({ code: 'DISK_FAILED' });
    broken = false;
    await until(() => tracker.heartbeats.at(-1)?.storageError?.code === 'ERROR_CODE_DISK_FAILED');
    // One success later means nothing: the storage stays as it is until somebody looks at it.
    await expect(write()).rejects.toMatchObject({ code: 'DISK_FAILED' });
    expect((await cluster.client().read(cluster.readRequest(chunkId))).data.equals(data)).toBe(true);
    expect(tracker.heartbeats.at(-1)?.storageError?.message).not.toContain(cluster.keeper().dataDir);
    await cluster.keeper().stop();
    expect(tracker.heartbeats.at(-1)).toMatchObject({
      stopping: true,
      storageError: { code: 'ERROR_CODE_DISK_FAILED' },
    });
  });
});

it.each<[string, () => Promise<never>]>([
  ['hangs', () => new Promise(() => undefined)],
  ['is gone', () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))],
])('a disk that %s silences no heartbeat: the tracker is told', async (_what, space) => {
  let broken = false;
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    space: (path) => (broken ? space() : nodeFileSystem.space(path)),
  };
  cluster = await TestCluster.start(1, { fileSystem, settings: { diskStallMs: 50 } });
  const { tracker } = cluster;
  const chunkId = await write();
  await until(() => (tracker.heartbeats.at(-1)?.capacity?.usedBytes ?? 0) > 0);
  broken = true;
  await until(() => tracker.heartbeats.at(-1)?.storageError?.code === 'ERROR_CODE_DISK_FAILED');
  expect(tracker.heartbeats.at(-1)?.capacity).toMatchObject({ freeBytes: 0 });
  expect(tracker.heartbeats.at(-1)?.capacity?.usedBytes).toBeGreaterThan(0);
  expect((await cluster.client().read(cluster.readRequest(chunkId))).data.equals(data)).toBe(true);
});
